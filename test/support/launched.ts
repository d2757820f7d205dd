import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Dispatcher } from '../../src/jobs/dispatcher.ts'
import { LocalLauncher } from '../../src/jobs/launcher.ts'
import { quiet } from './control.ts'
import { type Managed, type ManagedOptions, openManaged } from './managed.ts'
import { environment, PROGRAM } from './manager-process.ts'

/** The jobs as `serve` runs them: the dispatcher here, and managers as processes that it starts. */
export interface Launched extends Managed {
  launcher: LocalLauncher
  dispatcher: Dispatcher
}

export async function openLaunched(
  options: ManagedOptions & {
    managers?: number
    lostSeconds?: number
    hungSeconds?: number
    startMs?: number
    withoutSpare?: number
    restMs?: number
    program?: string
    env?: Record<string, string>
  } = {},
): Promise<Launched> {
  const {
    kindsDir,
    managers = 1,
    lostSeconds,
    hungSeconds,
    startMs,
    withoutSpare,
    restMs = 100,
    program = PROGRAM,
    env,
    storeUrl,
  } = options
  const stack = new AsyncDisposableStack()
  const managed = stack.use(await openManaged(options))
  const launcher = stack.adopt(
    new LocalLauncher({
      db: managed.db,
      log: quiet,
      program,
      env: environment({
        TEATREE_DATABASE_URL: managed.url,
        TEATREE_DATA_DIR: managed.dataDir,
        TEATREE_STORE_URL: storeUrl ?? pathToFileURL(join(managed.dataDir, 'store')).href,
        ...(kindsDir === undefined ? {} : { TEATREE_KINDS: kindsDir }),
        ...env,
      }),
      managers,
      restMs,
      onLost: () => dispatcher.look(),
      ...(startMs === undefined ? {} : { startMs }),
      ...(withoutSpare === undefined ? {} : { withoutSpare, spareMs: 0 }),
    }),
    running => running.close(),
  )
  const dispatcher = stack.adopt(
    new Dispatcher({
      ...managed,
      launcher,
      log: quiet,
      archivesMs: 100,
      ...(lostSeconds === undefined ? {} : { lostSeconds }),
      ...(hungSeconds === undefined ? {} : { hungSeconds }),
    }),
    running => running.close(),
  )
  dispatcher.start()
  return { ...managed, launcher, dispatcher, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
