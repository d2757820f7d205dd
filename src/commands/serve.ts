import { fileURLToPath } from 'node:url'
import { Completions } from '../jobs/completions.ts'
import { contentIndex } from '../jobs/content.ts'
import { Dispatcher } from '../jobs/dispatcher.ts'
import { VersionDownloads } from '../jobs/downloads.ts'
import { Housekeeper } from '../jobs/housekeeper.ts'
import { LocalLauncher } from '../jobs/launcher.ts'
import { Ledger } from '../jobs/ledger.ts'
import { Links } from '../jobs/links.ts'
import { findLost } from '../jobs/lost.ts'
import { migrate } from '../jobs/migrate.ts'
import { ModelChanges } from '../jobs/model-changes.ts'
import { Models } from '../jobs/models.ts'
import { PinnedFiles } from '../jobs/pinned-files.ts'
import { QueryRunner } from '../jobs/query-runner.ts'
import { QueryRuns } from '../jobs/query-runs.ts'
import { ResultFiles } from '../jobs/result-files.ts'
import type { Services } from '../jobs/services.ts'
import { signingKey } from '../jobs/signing-key.ts'
import { Snapshots } from '../jobs/snapshots.ts'
import { SqlQueries } from '../jobs/sql-queries.ts'
import { StoredResults } from '../jobs/stored-results.ts'
import { Submitter } from '../jobs/submit.ts'
import { Uploads } from '../jobs/uploads.ts'
import type { Log } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'
import { Signatures } from '../platform/signatures.ts'
import { startServer } from '../server.ts'
import { databaseAnswers } from './database-answers.ts'
import { OwnDatabase } from './own-database.ts'
import { openParts, queriesFolder } from './parts.ts'
import { aborted, abortOn } from './stop.ts'

/** The platform as it runs: what can be asked of it in this process, and where it listens. */
export interface Platform {
  url: string
  services: Services
  /** Rejects once the platform cannot go on, with the reason. */
  lost: Promise<never>
}

const ABANDONED_SECONDS = 60 * 60
const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))

/**
 * The whole platform in this process and its managers: parts, services, managers, server, in this order.
 * `stack` releases them in reverse, but for the managers, which are told to stop as the server is. A database that is yet to
 * answer is waited for, until `signal` aborts.
 */
export async function startPlatform(
  stack: AsyncDisposableStack,
  settings: Settings,
  signal: AbortSignal,
): Promise<Platform> {
  let lost: Promise<never> = new Promise(() => {})
  const ownDatabase = async () => {
    const own = stack.adopt(await OwnDatabase.open(settings.dataDir), held => held.close())
    lost = own.gone
    return own.url
  }
  const database = async (log: Log) => {
    const databaseUrl = settings.databaseUrl ?? (await ownDatabase())
    await databaseAnswers(databaseUrl, { log, signal })
    await migrate(databaseUrl, log)
    return databaseUrl
  }
  const parts = await openParts(stack, settings, { name: 'serve', database, role: 'serve', connections: 16 })
  const { databaseUrl, db, duckdb, engines, kinds, objects, queue } = parts
  const { dataDir, pagedDisk } = settings

  await findLost({ db, dataDir, log: parts.log })
  const completions = stack.adopt(new Completions(db), log => log.close())
  await completions.start(parts.log)
  const ledger = new Ledger(db, queue)
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(engines.keys()) })
  const uploads = new Uploads({ db, objects, engine: duckdb, dataDir })
  const submitter = new Submitter({ models, ledger, kinds })
  const snapshots = stack.adopt(new Snapshots({ db, kinds, engines, completions, dataDir, log: parts.log }), open =>
    open.close(),
  )
  const files = stack.adopt(new ResultFiles({ dataDir, log: parts.log }), kept => kept.close())
  const sql = new SqlQueries({ snapshots, files, limits: settings.queries.sql })
  const queryRuns = new QueryRuns(db)
  const results = new StoredResults({ db, objects, files, snapshots })
  const downloads = new VersionDownloads({ db, engines, dataDir })
  let url = ''
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
    queryRuns,
    results,
    uploads,
    content: contentIndex({ db, objects }),
    downloads,
    signatures,
    links: new Links({ signatures, publicUrl: () => settings.publicUrl ?? url }),
    log: parts.log,
  }

  const launcher = stack.adopt(
    new LocalLauncher({
      db,
      log: parts.log,
      program: PROGRAM,
      env: {
        ...process.env,
        TEATREE_DATABASE_URL: databaseUrl,
        TEATREE_DATA_DIR: dataDir,
        TEATREE_STORE_URL: settings.storeUrl,
      },
      managers: settings.managers,
      onLost: () => dispatcher.look(),
    }),
    running => running.close(),
  )
  const dispatcher = stack.adopt(new Dispatcher({ ...parts, launcher, completions }), running => running.close())
  const housekeeper = stack.adopt(
    new Housekeeper({
      ...parts,
      dataDir,
      pagedDisk,
      completions: settings.completions,
      queries: {
        folder: queriesFolder(dataDir),
        seconds: settings.queries.runs.seconds + ABANDONED_SECONDS,
      },
    }),
    running => running.close(),
  )
  const runner = stack.adopt(
    new QueryRunner({ ...parts, snapshots, completions, results, limits: settings.queries.runs }),
    running => running.close(),
  )
  const pinnedFiles = stack.adopt(new PinnedFiles({ ...parts, downloads }), running => running.close())
  const server = stack.adopt(await startServer({ ...parts, services, launcher }), listening => listening.close())
  // Managers end while the server has its grace: one after the other, the two would take longer than who stops us waits.
  stack.defer(() => void launcher.close().catch(() => {}))
  url = server.url
  dispatcher.start()
  housekeeper.start()
  runner.start()
  pinnedFiles.start()
  return { url, services, lost }
}

/** `teatree serve`: until SIGTERM or SIGINT. */
export async function serve(settings: Settings): Promise<void> {
  const signal = abortOn(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  try {
    const { url, lost } = await startPlatform(stack, settings, signal)
    process.stdout.write(
      `Teatree is ready.\n  GraphQL and GraphiQL  ${url}/graphql\n  Health                ${url}/health/ready\n  Metrics               ${url}/metrics\n`,
    )
    await Promise.race([aborted(signal), lost])
  } catch (error) {
    // It was told to stop while it waited for the database.
    if (error !== signal.reason) throw error
  }
}
