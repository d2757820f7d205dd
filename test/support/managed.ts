import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { arrowEngine } from '../../src/engine/arrow/index.ts'
import { duckdbEngine } from '../../src/engine/duckdb/index.ts'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { Manager, type ManagerDeps } from '../../src/jobs/manager.ts'
import type { Intent } from '../../src/jobs/records.ts'
import { Snapshots } from '../../src/jobs/snapshots.ts'
import { Submitter } from '../../src/jobs/submit.ts'
import { Uploads } from '../../src/jobs/uploads.ts'
import { type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import { type Control, type ControlOptions, openControl, quiet } from './control.ts'
import { querySettings } from './query-settings.ts'

/** The jobs, all in this process: a control database, a store, and as many managers as a test starts. */
export interface Managed extends Control {
  dataDir: string
  pagedDisk: number
  objects: ObjectStore
  engines: ReadonlyMap<string, Engine>
  snapshots: Snapshots
  submitter: Submitter
  uploads: Uploads
  startManager(deps?: Partial<ManagerDeps>): Manager
  /** Submits, and waits until the intent has ended. */
  run(model: string, fn: string, args: Record<string, unknown>): Promise<Intent>
  ended(intent: string): Promise<Intent>
}

export interface ManagedOptions extends ControlOptions {
  storeUrl?: string
  /** A folder of the test's own instead of a temporary one. */
  dataDir?: string
}

export async function openManaged(options: ManagedOptions = {}): Promise<Managed> {
  const stack = new AsyncDisposableStack()
  const dataDir =
    options.dataDir ??
    stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-jobs-')), dir => rm(dir, { recursive: true, force: true }))
  const control = stack.use(await openControl({ engines: ['DUCKDB', 'ARROW'], ...options }))
  const { db, queue, ledger, models, completions, kinds } = control
  const objects = stack.adopt(
    await openObjectStore(options.storeUrl ?? pathToFileURL(join(dataDir, 'store')).href),
    store => store.close(),
  )
  const pagedDisk = 8
  const queries = { ...querySettings(), folder: join(dataDir, 'queries') }
  const readers = DuckDBReaders.shared(queries)
  const duckdb = duckdbEngine({ log: quiet, readers })
  const arrow = arrowEngine({ log: quiet, readers, folder: queries.folder })
  const engines = new Map<string, Engine>([duckdb, arrow].map(engine => [engine.name, engine]))
  const snapshots = stack.adopt(new Snapshots({ db, kinds, engines, completions, dataDir, log: quiet }), open =>
    open.close(),
  )
  const uploads = new Uploads({ db, objects, engine: duckdb, dataDir })
  const submitter = new Submitter({ models, ledger, kinds })
  const ended = async (id: string): Promise<Intent> => {
    const intent = await ledger.intent(id)
    if (!intent) throw new Error(`no intent ${id}`)
    let last: Intent | null = intent
    const there = await completions.until(
      intent.model,
      async () => {
        last = await ledger.intent(id)
        return last?.endedAt != null
      },
      90_000,
    )
    if (!there || !last)
      throw new Error(`intent ${id} did not end: ${JSON.stringify({ ...intent, seq: String(intent.seq) })}`)
    return last
  }
  return {
    ...control,
    dataDir,
    pagedDisk,
    objects,
    engines,
    snapshots,
    submitter,
    uploads,
    startManager: (deps = {}) =>
      stack.adopt(
        new Manager({ db, queue, objects, kinds, engines, dataDir, pagedDisk, log: quiet, ...deps }),
        manager => manager.close(),
      ),
    async run(model, fn, args) {
      return ended((await submitter.submit({ model, function: fn, arguments: args })).id)
    },
    ended,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
