import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine } from '../engine/engine.ts'
import { Queue } from '../jobs/queue.ts'
import type { Kinds } from '../kinds/kind.ts'
import { loadKinds } from '../kinds/registry.ts'
import { createLog, type Log } from '../platform/log.ts'
import { type ObjectStore, openObjectStore } from '../platform/objects/index.ts'
import { Database } from '../platform/postgres.ts'
import type { Settings } from '../platform/settings.ts'
import { startTelemetry, type Telemetry } from '../platform/telemetry/index.ts'
import { enginesOf } from './engines.ts'
import { VERSION } from './version.ts'

/** Where queries write their results first. */
export const queriesFolder = (dataDir: string): string => join(dataDir, 'queries')

/** What every process of the platform is made of, whether it serves or manages. */
export interface Parts {
  settings: Settings
  log: Log
  telemetry: Telemetry
  databaseUrl: string
  db: Database
  queue: Queue
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  duckdb: Engine
}

/**
 * Opens the parts; `stack` releases them in reverse, whatever fails on the way. What a person may have got wrong (kinds,
 * the store's URL) comes first, and only then `database`, which may start a server, and answers with its URL.
 */
export async function openParts(
  stack: AsyncDisposableStack,
  settings: Settings,
  as: { name: string; database: (log: Log) => Promise<string>; role: 'serve' | 'manage'; connections: number },
): Promise<Parts> {
  const log = createLog({ name: as.name })
  const telemetry = stack.adopt(
    await startTelemetry({ service: `teatree-${as.role}`, version: VERSION, env: process.env, log }),
    t => t.stop(),
  )
  const kinds = await loadKinds(settings.kindsDir === undefined ? {} : { directory: settings.kindsDir })
  await mkdir(settings.dataDir, { recursive: true })
  const objects = stack.adopt(await openObjectStore(settings.storeUrl), store => store.close())
  const databaseUrl = await as.database(log)
  const onError = (error: Error) => log.warn({ err: error }, 'the control database')
  const db = stack.adopt(
    new Database({ url: databaseUrl, name: `teatree ${as.name}`, connections: as.connections, onError }),
    database => database.close(),
  )
  const queue = stack.adopt(
    await Queue.start({
      url: databaseUrl,
      name: `teatree ${as.name}`,
      supervise: as.role === 'serve',
      listen: as.role === 'manage',
      connections: 4,
      onError,
    }),
    open => open.close(),
  )
  const { dataDir, kindsDir, queries } = settings
  const folder = queriesFolder(dataDir)
  const engines = enginesOf({
    log,
    queries: { ...queries, folder, kindsDir, ready: as.role === 'serve' ? 1 : 0 },
    warm: as.role === 'manage',
  })
  return {
    settings,
    log,
    telemetry,
    databaseUrl,
    db,
    queue,
    objects,
    kinds,
    engines: new Map(Object.entries(engines)),
    duckdb: engines.DUCKDB,
  }
}
