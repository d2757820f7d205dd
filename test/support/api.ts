import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ExecutionResult, execute, type GraphQLSchema, parse, validate } from 'graphql'
import { arrowEngine } from '../../src/engine/arrow/index.ts'
import { duckdbEngine } from '../../src/engine/duckdb/index.ts'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import type { SnapshotReader } from '../../src/engine/engine.ts'
import { Completions } from '../../src/jobs/completions.ts'
import { contentIndex } from '../../src/jobs/content.ts'
import { VersionDownloads } from '../../src/jobs/downloads.ts'
import { Ledger } from '../../src/jobs/ledger.ts'
import { Links } from '../../src/jobs/links.ts'
import { Manager } from '../../src/jobs/manager.ts'
import { ModelChanges } from '../../src/jobs/model-changes.ts'
import { Models } from '../../src/jobs/models.ts'
import { QueryRunner } from '../../src/jobs/query-runner.ts'
import { QueryRuns } from '../../src/jobs/query-runs.ts'
import { Queue } from '../../src/jobs/queue.ts'
import type { Version } from '../../src/jobs/records.ts'
import { ResultFiles } from '../../src/jobs/result-files.ts'
import type { Services } from '../../src/jobs/services.ts'
import { signingKey } from '../../src/jobs/signing-key.ts'
import { type OpenSnapshot, Snapshots } from '../../src/jobs/snapshots.ts'
import { SqlQueries } from '../../src/jobs/sql-queries.ts'
import { StoredResults } from '../../src/jobs/stored-results.ts'
import { Submitter } from '../../src/jobs/submit.ts'
import { Uploads } from '../../src/jobs/uploads.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { loadKinds } from '../../src/kinds/registry.ts'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { Database } from '../../src/platform/postgres.ts'
import { Signatures } from '../../src/platform/signatures.ts'
import { createContext, formatError, makeSchema } from '../../src/resolvers/index.ts'
import { Deliveries } from '../../src/server/deliveries.ts'
import { follow } from '../../src/server/operations.ts'
import { quiet } from './control.ts'
import lab from './kinds/lab.ts'
import { createControlDatabase } from './postgres.ts'
import { type QueryOptions, querySettings } from './query-settings.ts'

/** Where the lab is, for the processes in which queries run. */
const KINDS = join(import.meta.dirname, 'kinds')

// biome-ignore lint/suspicious/noExplicitAny: an answer has the shape that the query asked for; tests say it by reading it
export type Answer = any

/** The services and a manager in this process, on a database and in a folder of their own, and the schema over them. */
export interface TestApi extends AsyncDisposable {
  readonly services: Services
  /** The data directory. */
  readonly dir: string
  readonly db: Database
  readonly manager: Manager
  readonly schema: GraphQLSchema
  /** Snapshots that operations hold at the moment. */
  readonly held: number
  /** What readers were asked for, by method, since it was last emptied. */
  readonly reads: string[]
  /** Data of one operation; an error of the answer is thrown. */
  graphql(source: string, variables?: Record<string, unknown>): Promise<Answer>
  /** The whole answer, errors and all. */
  answer(
    source: string,
    variables?: Record<string, unknown>,
    /** Of a caller who may go away. */
    signal?: AbortSignal,
  ): Promise<{ data?: Answer; errors?: Answer[] }>
  /** What a subscription yields, until the iteration ends. */
  subscribe(source: string, variables?: Record<string, unknown>): AsyncIterableIterator<Answer>
  /** Makes a model of the kind, held by the manager, and answers with its id. */
  create(input: Record<string, unknown>): Promise<string>
}

/** Opens the API over the kinds that ship and the lab; with `runs` it runs query runs too. */
export async function openApi(options: { pagedDisk?: number } & QueryOptions = {}): Promise<TestApi> {
  const { pagedDisk = 8 } = options
  const queries = querySettings(options)
  const stack = new AsyncDisposableStack()
  const { url } = stack.use(await createControlDatabase())
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-')), path => rm(path, { recursive: true, force: true }))
  const kinds = new Map([...(await loadKinds()), ['lab', checkKind(lab)]])
  const onError = () => {}
  const db = stack.adopt(new Database({ url, name: 'test', connections: 10, onError }), open => open.close())
  const queue = stack.adopt(
    await Queue.start({ url, name: 'test', supervise: false, listen: true, connections: 4, onError }),
    open => open.close(),
  )
  const objects = stack.adopt(await openObjectStore(pathToFileURL(join(dir, 'store')).href), store => store.close())
  const folder = join(dir, 'queries')
  const readers = DuckDBReaders.shared({ ...queries, folder, kindsDir: KINDS })
  const engine = duckdbEngine({ log: quiet, readers })
  const arrow = arrowEngine({ log: quiet, readers, folder })
  const engines = new Map([engine, arrow].map(each => [each.name, each]))
  const completions = stack.adopt(new Completions(db), open => open.close())
  await completions.start(quiet)
  const ledger = new Ledger(db, queue)
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(engines.keys()) })
  const uploads = new Uploads({ db, objects, engine, dataDir: dir })
  const submitter = new Submitter({ models, ledger, kinds })
  const snapshots = stack.adopt(
    new WatchedSnapshots({ db, kinds, engines, completions, dataDir: dir, log: quiet }),
    open => open.close(),
  )
  const manager = stack.adopt(
    new Manager({ db, queue, objects, kinds, engines, dataDir: dir, pagedDisk, log: quiet }),
    open => open.close(),
  )
  const results = stack.adopt(new ResultFiles({ dataDir: dir, log: quiet }), open => open.close())
  const stored = new StoredResults({ db, objects, files: results, snapshots })
  if (options.runs) {
    const limits = queries.runs
    const runner = new QueryRunner({ db, snapshots, completions, results: stored, limits, log: quiet })
    stack.defer(() => runner.close())
    runner.start()
  }
  const signatures = new Signatures(await signingKey(db))
  const services = {
    db,
    kinds,
    models,
    ledger,
    submitter,
    snapshots,
    completions,
    modelChanges: new ModelChanges({ models, completions }),
    sql: new SqlQueries({ snapshots, files: results, limits: queries.sql }),
    queryRuns: new QueryRuns(db),
    results: stored,
    uploads,
    content: contentIndex({ db, objects }),
    downloads: new VersionDownloads({ db, engines, dataDir: dir }),
    signatures,
    links: new Links({ signatures, publicUrl: () => 'http://test' }),
    log: quiet,
  }
  const schema = makeSchema(services)
  const format = formatError(quiet)
  const deliveries = new Deliveries(services, format)
  const shown = ({ data, errors }: ExecutionResult): { data?: Answer; errors?: Answer[] } => ({
    ...(data !== undefined && { data }),
    ...(errors && { errors: errors.map(error => format(error).toJSON()) }),
  })
  const operation = (source: string, variables: Record<string, unknown>, signal: AbortSignal) => {
    const contextValue = createContext(services, { signal, user: { id: 'tester' } })
    return { schema, document: parse(source), contextValue, variableValues: variables }
  }

  const answer: TestApi['answer'] = async (source, variables = {}, signal = new AbortController().signal) => {
    const args = operation(source, variables, signal)
    const errors = validate(schema, args.document)
    if (errors.length > 0) return shown({ errors })
    try {
      return shown(await execute(args))
    } finally {
      args.contextValue.release()
    }
  }
  const graphql: TestApi['graphql'] = async (source, variables) => {
    const { data, errors } = await answer(source, variables)
    if (errors?.[0]) throw new Error(`${errors[0].extensions?.code}: ${errors[0].message}`)
    return data
  }
  return {
    services,
    db,
    dir,
    manager,
    schema,
    get held() {
      return snapshots.held
    },
    reads: snapshots.reads,
    answer,
    graphql,
    async *subscribe(source, variables = {}) {
      const left = new AbortController()
      try {
        const document = parse(source)
        const args = { schema, document, variableValues: variables, contextValue: { signal: left.signal } }
        const events = await follow({ services, deliveries }, args)
        if (!(Symbol.asyncIterator in events)) throw new Error(`${shown(events).errors?.[0].extensions.code}`)
        for await (const event of events) {
          const { data, errors } = shown(event)
          if (errors?.[0]) throw new Error(`${errors[0].extensions?.code}: ${errors[0].message}`)
          yield data
        }
      } finally {
        left.abort()
      }
    },
    async create(input) {
      const { createModel } = await graphql(
        'mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }',
        {
          input,
        },
      )
      await manager.hold(createModel.id)
      return createModel.id
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Snapshots that tell how many are held, and what is read of them. */
class WatchedSnapshots extends Snapshots {
  held = 0
  readonly reads: string[] = []

  override async open(version: Version): Promise<OpenSnapshot> {
    const open = await super.open(version)
    this.held++
    const { reads } = this
    const reader = new Proxy(open.reader, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          reads.push(String(name))
          return value.apply(target, args.map(unwatched))
        }
      },
    })
    watched.set(reader, open.reader)
    return {
      version: open.version,
      reader,
      check: open.check,
      release: () => {
        this.held--
        open.release()
      },
    }
  }
}

/** A reader takes another of its own sort, and cannot look through what watches it. */
const watched = new WeakMap<object, SnapshotReader>()
const unwatched = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(unwatchedRead)
    : (typeof value === 'object' && value !== null && watched.get(value)) || value
const unwatchedRead = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'reader' in value
    ? { ...value, reader: unwatched(value.reader) }
    : value
