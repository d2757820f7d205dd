import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { loadKinds } from '../../kinds/registry.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { createLog } from '../../platform/log.ts'
import { enginesOf } from '../engines.ts'
import type { FromTask, Task } from './messages.ts'
import { TASKS } from './tasks.ts'

/*
 * The process of one task of one engine, so that the memory that it says it took is that task's: TASK as JSON. It ends with
 * who started it, and leaves Ctrl-C to that one.
 */

const tell = (message: FromTask): Promise<void> =>
  new Promise((resolve, reject) =>
    process.send?.(message, (error: Error | null) => (error ? reject(error) : resolve())),
  )

async function run(task: Task): Promise<FromTask> {
  const log = createLog({ name: 'compare' })
  const folder = join(task.dir, task.engine, 'queries')
  for (const each of [folder, join(task.dir, task.engine, 'tables')]) await mkdir(each, { recursive: true })
  const { memoryBytes } = task
  // Whoever is alone in a bounded process may have half of it; the rest is Node's, and that of what is on its way.
  const bounded = memoryBytes === null ? {} : { writerMemoryBytes: memoryBytes / 2 }
  const engine = enginesOf({ log, queries: { folder }, ...bounded })[task.engine]
  const onStep = (step: string) => void tell({ is: 'step', step }).catch(() => {})
  try {
    const done = await TASKS[task.is]({ task, engine, kinds: await loadKinds(), onStep })
    const { maxRSS } = process.resourceUsage()
    return { is: 'done', ...done, figures: { ...done.figures, 'memory bytes': maxRSS * 1024 } }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const failed = (error: unknown): FromTask => {
  const code = error instanceof TeatreeError && error.code !== 'INTERNAL' ? error.code : null
  const cause =
    code === null && error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  const message = `${error instanceof Error ? error.message : String(error)}${cause}`
  return {
    is: 'failed',
    code,
    message,
    isOutOfMemory: code === 'QUERY_TOO_EXPENSIVE' || /out of memory/i.test(message),
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
process.once('disconnect', () => process.exit(1))
await tell(await run(JSON.parse(process.argv[2] ?? '') as Task).catch(failed))
process.exit(0)
