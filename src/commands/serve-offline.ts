import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { offlineServices } from '../jobs/offline/services.ts'
import { ResultFiles } from '../jobs/result-files.ts'
import { loadKinds } from '../kinds/registry.ts'
import { UsageError } from '../platform/errors.ts'
import { createLog } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'
import { startTelemetry } from '../platform/telemetry/index.ts'
import { startOfflineServer } from '../server.ts'
import { enginesOf } from './engines.ts'
import { queriesFolder } from './parts.ts'
import { stopSignal } from './stop.ts'
import { VERSION } from './version.ts'

/** `teatree serve --offline DIR`: the reads of the platform over what `pull` has put there, until SIGTERM or SIGINT. */
export async function serveOffline(settings: Settings, to: string): Promise<void> {
  const stopped = stopSignal(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  const url = await startOffline(stack, settings, to)
  process.stdout.write(
    `Teatree is ready, offline.\n  GraphQL and GraphiQL  ${url}/graphql\n  Health                ${url}/health/ready\n`,
  )
  await stopped
}

/** Answers with where it listens; `stack` releases everything in reverse. */
async function startOffline(stack: AsyncDisposableStack, settings: Settings, to: string): Promise<string> {
  const dir = resolve(to)
  const found = await stat(dir).catch(() => null)
  if (!found?.isDirectory())
    throw new UsageError(`--offline: ${to} is no folder; fill one with teatree pull MODEL --to DIR`)
  const log = createLog({ name: 'serve' })
  const telemetry = stack.adopt(
    await startTelemetry({ service: 'teatree-offline', version: VERSION, env: process.env, log }),
    started => started.stop(),
  )
  const kinds = await loadKinds(settings.kindsDir === undefined ? {} : { directory: settings.kindsDir })
  let url = ''
  // The folder is somebody's, and may be read-only: what is written on the way to a client is elsewhere.
  const dataDir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-offline-')), path =>
    rm(path, { recursive: true, force: true }),
  )
  const publicUrl = () => settings.publicUrl ?? url
  const { queries, kindsDir } = settings
  const reading = { ...queries, folder: queriesFolder(dataDir), kindsDir, ready: 1 }
  const engines = new Map(Object.entries(enginesOf({ log, queries: reading })))
  const results = stack.adopt(new ResultFiles({ dataDir, log }), files => files.close())
  const services = offlineServices({ dir, kinds, engines, results, sql: queries.sql, log, publicUrl })
  stack.adopt(services.snapshots, open => open.close())
  const check = async () => {
    await services.folder.models()
  }
  const server = stack.adopt(
    await startOfflineServer({ settings: { ...settings, dataDir }, log, telemetry, services, check }),
    listening => listening.close(),
  )
  url = server.url
  return url
}
