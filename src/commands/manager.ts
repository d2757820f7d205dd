import { openRenewals } from '../jobs/lease.ts'
import { Manager, type ManagerDeps } from '../jobs/manager.ts'
import type { FromManager, ToManager } from '../jobs/messages.ts'
import { UsageError } from '../platform/errors.ts'
import { closeInheritedFiles } from '../platform/inherited-files.ts'
import type { Settings } from '../platform/settings.ts'
import { openParts, type Parts } from './parts.ts'
import { stopSignal } from './stop.ts'

/** A manager of a launcher on this machine: it holds what it is told to over its IPC channel, until that closes. */
export async function localManager(settings: Settings, name: string): Promise<void> {
  if (!process.send) throw new UsageError('manager --local is started by serve alone; use manager --model ID')
  closeInheritedFiles()
  // A terminal's Ctrl-C reaches the whole group; the launcher says when to stop.
  process.on('SIGINT', () => {})
  const told = stopSignal(['SIGTERM'])
  const tell = (message: FromManager) => process.connected && process.send?.(message)
  await using stack = new AsyncDisposableStack()
  const { manager, parts } = await openManager(stack, settings, {
    name,
    onReleased: model => tell({ is: 'released', model }),
  })
  const stopped = Promise.withResolvers<void>()
  // The channel also closes when the launcher is killed: then nobody would tell this process to stop.
  process.once('disconnect', () => stopped.resolve())
  if (!process.connected) stopped.resolve()
  process.on('message', (message: ToManager) => {
    if (message.is === 'stop') stopped.resolve()
    if (message.is === 'hold')
      manager.hold(message.model, message.apart).then(
        held => tell({ is: held ? 'held' : 'refused', model: message.model }),
        error => {
          parts.log.error({ model: message.model, err: error }, 'model not held')
          tell({ is: 'refused', model: message.model })
        },
      )
    if (message.is === 'metrics')
      parts.telemetry.metricsText().then(text => tell({ is: 'metrics', request: message.request, text }))
  })
  tell({ is: 'ready', owner: manager.owner })
  await Promise.race([stopped.promise, told])
}

/** One model's manager as a process of its own: what a pod runs. Ends when it is told to, or the model is gone. */
export async function modelManager(settings: Settings, model: string): Promise<void> {
  const told = stopSignal(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  const released = Promise.withResolvers<void>()
  const { manager } = await openManager(stack, settings, {
    name: `manager-${model}`,
    idleMs: Number.POSITIVE_INFINITY,
    onReleased: () => released.resolve(),
  })
  if (!(await manager.hold(model)))
    throw new UsageError(`model ${model} is not there, or another manager holds it; try again when its lease has ended`)
  await Promise.race([released.promise, told])
}

async function openManager(
  stack: AsyncDisposableStack,
  settings: Settings,
  { name, ...own }: { name: string } & Pick<ManagerDeps, 'idleMs' | 'onReleased'>,
): Promise<{ manager: Manager; parts: Parts }> {
  const parts = await openParts(stack, settings, {
    name,
    database: async () => databaseUrl(settings),
    role: 'manage',
    connections: 8,
  })
  const { databaseUrl: url, log } = parts
  const onError = (error: Error) => log.warn({ err: error }, 'the control database')
  const renewals = stack.adopt(openRenewals({ url, name: `teatree ${name} leases`, onError }), open => open.close())
  const manager = stack.adopt(new Manager({ ...parts, ...settings, ...own, renewals }), held => held.close())
  return { manager, parts }
}

function databaseUrl(settings: Settings): string {
  if (settings.databaseUrl === undefined)
    throw new UsageError('a manager needs TEATREE_DATABASE_URL: the embedded database belongs to serve')
  return settings.databaseUrl
}
