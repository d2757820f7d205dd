import { once } from 'node:events'
import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { contentIndex } from '../../src/jobs/content.ts'
import { VersionDownloads } from '../../src/jobs/downloads.ts'
import { LocalLauncher } from '../../src/jobs/launcher.ts'
import { Links } from '../../src/jobs/links.ts'
import { ModelChanges } from '../../src/jobs/model-changes.ts'
import { QueryRunner } from '../../src/jobs/query-runner.ts'
import { QueryRuns } from '../../src/jobs/query-runs.ts'
import type { Version } from '../../src/jobs/records.ts'
import { ResultFiles } from '../../src/jobs/result-files.ts'
import type { Services } from '../../src/jobs/services.ts'
import { signingKey } from '../../src/jobs/signing-key.ts'
import { type OpenSnapshot, Snapshots } from '../../src/jobs/snapshots.ts'
import { SqlQueries } from '../../src/jobs/sql-queries.ts'
import { StoredResults } from '../../src/jobs/stored-results.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import { Signatures } from '../../src/platform/signatures.ts'
import { startTelemetry } from '../../src/platform/telemetry/index.ts'
import type { Identify } from '../../src/server/callers.ts'
import type { OutboxLimits } from '../../src/server/outbox.ts'
import { startServer } from '../../src/server.ts'
import { type ControlOptions, quiet } from './control.ts'
import { type Managed, openManaged } from './managed.ts'
import { querySettings } from './query-settings.ts'

// biome-ignore lint/suspicious/noExplicitAny: an answer has the shape that the query asked for; tests say it by reading it
export type Answer = any

/** The server over jobs that are all in this process. */
export interface TestServer extends Managed {
  readonly url: string
  readonly services: Services
  /** Versions that are held open for somebody at the moment. */
  readonly held: number
  close(): Promise<void>
  /** The whole answer of one operation. */
  answer(query: string, variables?: Record<string, unknown>): Promise<{ data?: Answer; errors?: Answer[] }>
  /** A sales model with what the mutations make of it, each a version. */
  salesModel(...mutations: [name: string, args: Record<string, unknown>][]): Promise<string>
}

export async function openServer(
  options: {
    host?: string
    storeUrl?: string
    dataDir?: string
    idleMs?: number
    kindsDir?: string
    publicUrl?: string
    /** The clock that links are good by. */
    now?: () => number
    runs?: boolean
    /** Of the models that `salesModel` makes; DUCKDB where left out. */
    engine?: EngineName
    through?: NonNullable<ControlOptions['through']>
    identify?: Identify
    outbox?: OutboxLimits
  } = {},
): Promise<TestServer> {
  const stack = new AsyncDisposableStack()
  const telemetry = stack.adopt(await startTelemetry({ service: 'test', version: '0', env: {} }), open => open.stop())
  const managed = stack.use(await openManaged(options))
  const { db, kinds, models, ledger, submitter, completions, uploads, dataDir, objects, engines } = managed
  const idle = options.idleMs === undefined ? {} : { idleMs: options.idleMs }
  const snapshots = stack.adopt(
    new CountedSnapshots({ db, kinds, engines, completions, dataDir, log: quiet, ...idle }),
    open => open.close(),
  )
  const publicUrl = () => options.publicUrl ?? server.url
  const content = contentIndex({ db, objects })
  const downloads = new VersionDownloads({ db, engines, dataDir })
  const results = stack.adopt(new ResultFiles({ dataDir, log: quiet }), open => open.close())
  const sql = new SqlQueries({ snapshots, files: results, limits: querySettings().sql })
  const stored = new StoredResults({ db, objects, files: results, snapshots })
  const limits = querySettings().runs
  const runner = new QueryRunner({ db, snapshots, completions, results: stored, limits, log: quiet })
  stack.defer(() => runner.close())
  if (options.runs) runner.start()
  const signatures = new Signatures(await signingKey(db))
  const services: Services = {
    db,
    kinds,
    models,
    ledger,
    submitter,
    snapshots,
    completions,
    modelChanges: new ModelChanges({ models, completions }),
    sql,
    queryRuns: new QueryRuns(db),
    results: stored,
    uploads,
    content,
    downloads,
    signatures,
    links: new Links({ signatures, publicUrl, ...(options.now && { now: options.now }) }),
    log: quiet,
  }
  const program = new URL('../../bin/teatree.js', import.meta.url).pathname
  const launcher = stack.adopt(
    new LocalLauncher({ db, log: quiet, program, env: {}, managers: 1, onLost: () => {} }),
    open => open.close(),
  )
  const { identify, outbox } = options
  const serving = { ...(identify && { identify }), ...(outbox && { outbox }) }
  const settings = { host: options.host ?? '127.0.0.1', port: 0, dataDir, publicUrl: options.publicUrl }
  const server = stack.adopt(
    await startServer({ settings, log: quiet, telemetry, objects, services, launcher, ...serving }),
    open => open.close(),
  )
  return {
    ...managed,
    services,
    url: server.url,
    get held() {
      return snapshots.held
    },
    close: () => server.close(),
    async answer(query, variables = {}) {
      const response = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      })
      return (await response.json()) as { data?: Answer; errors?: Answer[] }
    },
    async salesModel(...mutations) {
      const { id } = await models.create({ kind: 'sales', engine: options.engine ?? 'DUCKDB' })
      await managed.startManager().hold(id)
      for (const [name, args] of mutations) {
        const intent = await managed.run(id, name, args)
        if (intent.status !== 'PUBLISHED') throw new Error(JSON.stringify(intent.error))
      }
      return id
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

class CountedSnapshots extends Snapshots {
  held = 0

  override async open(version: Version): Promise<OpenSnapshot> {
    const open = await super.open(version)
    this.held++
    const release = () => {
      this.held--
      open.release()
    }
    return { ...open, release }
  }
}

export interface RawAnswer {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
  /** Of a JSON body. */
  json(): Answer
}

/** A request as it is, headers that browsers and `fetch` keep to themselves included; on a connection of its own. */
export async function send(url: string, options: RequestOptions = {}, body?: string | Uint8Array): Promise<RawAnswer> {
  const sent = request(url, { agent: false, ...options })
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>
  sent.end(body)
  return read((await answered)[0])
}

export async function read(response: IncomingMessage): Promise<RawAnswer> {
  const body = await buffer(response)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    json: () => JSON.parse(body.toString()),
  }
}

/** Settles when the condition holds. Between looks there is a rest: who only waits takes no core from what he waits for. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await wait(5)
}
