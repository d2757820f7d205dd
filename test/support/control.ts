import { fileURLToPath } from 'node:url'
import { Completions } from '../../src/jobs/completions.ts'
import { Ledger } from '../../src/jobs/ledger.ts'
import { Models } from '../../src/jobs/models.ts'
import { Queue } from '../../src/jobs/queue.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import type { Kinds } from '../../src/kinds/kind.ts'
import { loadKinds } from '../../src/kinds/registry.ts'
import { createLog, type Log } from '../../src/platform/log.ts'
import { Database } from '../../src/platform/postgres.ts'
import { createControlDatabase } from './postgres.ts'

export const quiet: Log = createLog({ name: 'test', level: 'silent' })

/** A control database of one's own, migrated, with what works on it; released in reverse when it is disposed of. */
export interface Control extends AsyncDisposable {
  url: string
  db: Database
  queue: Queue
  ledger: Ledger
  models: Models
  completions: Completions
  kinds: Kinds
}

/** The kinds that ship, and those of a test's own folder. */
export const TRIAL_KINDS = fileURLToPath(new URL('trial-kinds', import.meta.url))
export const ORACLE_KINDS = fileURLToPath(new URL('oracle-kinds', import.meta.url))

export interface ControlOptions {
  /** Those on which models can be made; DUCKDB alone where left out. */
  engines?: readonly EngineName[]
  kindsDir?: string
  /** The address that this process uses instead of the database's own: a proxy's, say. */
  through?: (url: string) => Promise<string>
}

export async function openControl(options: ControlOptions = {}): Promise<Control> {
  const stack = new AsyncDisposableStack()
  const { url: direct } = stack.use(await createControlDatabase())
  const url = (await options.through?.(direct)) ?? direct
  const onError = () => {}
  const db = stack.adopt(new Database({ url, name: 'test', connections: 10, onError }), open => open.close())
  const queue = stack.adopt(
    await Queue.start({ url, name: 'test', supervise: false, listen: true, connections: 4, onError }),
    open => open.close(),
  )
  const kinds = await loadKinds({ directory: options.kindsDir })
  const ledger = new Ledger(db, queue)
  const completions = stack.adopt(new Completions(db), open => open.close())
  await completions.start(quiet)
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(options.engines ?? ['DUCKDB']) })
  return { url, db, queue, ledger, models, completions, kinds, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
