import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { UsageError } from '../../platform/errors.ts'
import type { MemoryGroup } from './memory-group.ts'
import type { Done, FromTask, Task } from './messages.ts'

/** The program's file, in whichever form this one is run. */
const PROGRAM = import.meta.filename.replace(/task-process(\.\w+)$/, 'task-program$1')
const MAX_SAID = 4_000

/** A task needed more memory than its group may have: its engine has said so, or the system has ended the process. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory'
}

/**
 * Does a task in a process of its own, which is dead when this settles.
 * @param group whose memory it has, if it is bounded
 * @throws OutOfMemory
 * @throws UsageError with what the engine refused the task for
 * @throws the signal's reason
 */
export async function runTask(
  task: Task,
  { group, signal, onStep }: { group: MemoryGroup | null; signal: AbortSignal; onStep(step: string): void },
): Promise<Done> {
  signal.throwIfAborted()
  const child = start(task, group)
  let [step, said] = ['start', '']
  let answer: Exclude<FromTask, { is: 'step' }> | undefined
  child.stderr?.on('data', (bytes: Buffer) => {
    said = (said + bytes.toString()).slice(-MAX_SAID)
  })
  child.on('message', (message: FromTask) => {
    if (message.is === 'step') {
      step = message.step
      onStep(step)
    } else answer = message
  })
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop, { once: true })
  try {
    const [code, killed] = await once(child, 'close')
    signal.throwIfAborted()
    const what = `${task.engine}: ${task.is === 'function' ? task.function : task.is}, ${step}`
    if (answer?.is === 'done') return answer
    if (group && answer?.isOutOfMemory) throw tooMuch(what)
    if (answer) throw new UsageError(`${what}: ${answer.code ? `${answer.code}: ` : ''}${answer.message}`)
    // The system ends who needs too much, and an engine that gets no more ends itself; other signals are faults.
    if (group && (killed === 'SIGKILL' || killed === 'SIGABRT')) throw tooMuch(what)
    throw new Error(`${what}: the process ended with ${killed ?? `code ${code}`}: ${said}`)
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

const tooMuch = (what: string) => new OutOfMemory(`${what}: more memory was needed than it may have`)

/** Through a shell that joins the group before anything else is in memory. */
function start(task: Task, group: MemoryGroup | null): ChildProcess {
  const command = [process.execPath, PROGRAM, JSON.stringify(task)]
  const [program = '', ...args] = group
    ? ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', group.processes, ...command]
    : command
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
}
