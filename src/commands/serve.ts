import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Completions } from '../jobs/completions.ts'
import { Dispatcher } from '../jobs/dispatcher.ts'
import { LocalLauncher } from '../jobs/launcher.ts'
import { Ledger } from '../jobs/ledger.ts'
import { migrate } from '../jobs/migrate.ts'
import { Models } from '../jobs/models.ts'
import type { Services } from '../jobs/services.ts'
import { Snapshots } from '../jobs/snapshots.ts'
import { Submitter } from '../jobs/submit.ts'
import { Uploads } from '../jobs/uploads.ts'
import { startEmbeddedPostgres } from '../platform/embedded-postgres.ts'
import { UsageError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'
import { becomeSoleOwner } from '../platform/sole-owner.ts'
import { startServer } from '../server.ts'
import { openParts } from './parts.ts'
import { stopSignal } from './stop.ts'

/** The platform as it runs: what can be asked of it in this process, and where it listens. */
export interface Platform {
  url: string
  services: Services
}

const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))

/**
 * The whole platform in this process and its managers: parts, services, managers, server, in this order.
 * `stack` releases them in reverse.
 */
export async function startPlatform(stack: AsyncDisposableStack, settings: Settings): Promise<Platform> {
  const database = async (log: Log) => {
    const databaseUrl = settings.databaseUrl ?? (await embeddedDatabase(stack, settings))
    await migrate(databaseUrl, log)
    return databaseUrl
  }
  const parts = await openParts(stack, settings, { name: 'serve', database, role: 'serve', connections: 16 })
  const { databaseUrl, db, duckdb, engines, kinds, objects, queue } = parts
  const { dataDir } = settings

  const completions = stack.adopt(new Completions(db), log => log.close())
  await completions.start(parts.log)
  const ledger = new Ledger(db, queue)
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(engines.keys()) })
  const uploads = new Uploads({ db, objects, engine: duckdb, dataDir })
  const submitter = new Submitter({ models, ledger, uploads, kinds })
  const snapshots = stack.adopt(new Snapshots({ db, kinds, engines, completions, dataDir, log: parts.log }), open =>
    open.close(),
  )
  let url = ''
  const services: Services = {
    db,
    kinds,
    models,
    ledger,
    submitter,
    snapshots,
    completions,
    uploads,
    publicUrl: () => url,
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
  const dispatcher = stack.adopt(new Dispatcher({ ...parts, launcher, completions, dataDir }), running =>
    running.close(),
  )
  const server = stack.adopt(await startServer({ ...parts, services, launcher }), listening => listening.close())
  url = server.url
  dispatcher.start()
  return { url, services }
}

async function embeddedDatabase(stack: AsyncDisposableStack, { dataDir }: Settings): Promise<string> {
  const log = createLog({ name: 'postgres' })
  const options = { dir: join(dataDir, 'postgres'), log: (line: string) => log.info(line) }
  const postgres = await startEmbeddedPostgres(options)
  const owner = await becomeSoleOwner(postgres.url)
  // It is the other's, and must go on running.
  if (!owner)
    throw new UsageError(`another teatree serve runs on ${dataDir}; stop it, or choose another TEATREE_DATA_DIR`)
  stack.defer(() => postgres.stop())
  stack.adopt(owner, held => held.close())
  return postgres.url
}

/** `teatree serve`: until SIGTERM or SIGINT. */
export async function serve(settings: Settings): Promise<void> {
  const stopped = stopSignal(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  const { url } = await startPlatform(stack, settings)
  process.stdout.write(
    `Teatree is ready.\n  GraphQL and GraphiQL  ${url}/graphql\n  Health                ${url}/health/ready\n  Metrics               ${url}/metrics\n`,
  )
  await stopped
}
