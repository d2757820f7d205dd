import { fork } from 'node:child_process'
import { once } from 'node:events'
import { symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ArrowColumn, arrowColumn, unreadable } from './arrow-types.ts'
import { IpcError } from './ipc-error.ts'
import { ipcMessages } from './ipc-messages.ts'
import { type ConversionMessage, SOURCE } from './parquet-conversion.ts'

/** The columns of an Arrow IPC file or stream, and how many rows it has. @throws IpcError */
export async function describeArrow(path: string): Promise<{ columns: ArrowColumn[]; rows: number }> {
  let columns: ArrowColumn[] = []
  let rows = 0
  for await (const message of ipcMessages(path)) {
    if (message.is === 'schema') columns = message.schema.fields.map(arrowColumn)
    if (message.is === 'batch') rows += message.rows
  }
  return { columns, rows }
}

/** The child's file, in whichever form this one is run. */
const PROGRAM = import.meta.filename.replace(/to-parquet(\.\w+)$/, 'to-parquet-process$1')
const MAX_REASON = 2_000

/**
 * Converts an Arrow IPC file or stream to Parquet files in `dir`, an empty folder; answers with their paths, in the order of
 * the rows. It is done in a process of its own, with memory for some batches.
 * @throws IpcError where the file is cut short or damaged, or has a column of a type that cannot be read; whatever else
 *   it throws is of the surroundings
 */
export async function arrowToParquet(options: { path: string; dir: string; signal: AbortSignal }): Promise<string[]> {
  const { path, dir, signal } = options
  await checkMessages(path)
  signal.throwIfAborted()
  await symlink(resolve(path), join(dir, SOURCE))
  const child = fork(PROGRAM, [], {
    cwd: dir,
    execArgv: [],
    env: {
      PATH: process.env.PATH,
      LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH,
      TMPDIR: dir,
      RUST_BACKTRACE: '0',
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop, { once: true })
  try {
    const told: ConversionMessage[] = []
    child.on('message', message => told.push(message as ConversionMessage))
    const [[code, killedBy], reason] = await Promise.all([once(child, 'close'), child.stderr ? text(child.stderr) : ''])
    signal.throwIfAborted()
    const last = told.at(-1)
    if (code === 0 && last?.is === 'converted') return last.parts.map(part => join(dir, part))
    throw failure(reason.slice(0, MAX_REASON) || `ended with ${killedBy ?? code}`, killedBy, last !== undefined)
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

/** What shows before Polars sees the file: whether it is whole, and its types. */
async function checkMessages(path: string): Promise<void> {
  for await (const message of ipcMessages(path)) {
    const reason = message.is === 'schema' ? unreadable(message.schema.fields) : null
    if (reason !== null) throw new IpcError(`the column ${reason}, which cannot be read`)
  }
}

/** A process that did not start, was killed, or had no room, says nothing about the file. */
function failure(reason: string, killedBy: NodeJS.Signals | null, started: boolean): Error {
  const cause = new Error(reason)
  const allocation = /memory allocation of (\d+) bytes failed/.exec(reason)
  const lacksRoom = /no space left|disk quota|input\/output error/i.test(reason)
  // no machine has a TiB to give: such a length is from damaged bytes
  const lacksMemory = allocation !== null && Number(allocation[1]) < 2 ** 40
  if (!started || killedBy === 'SIGKILL' || lacksRoom || lacksMemory) {
    return new Error(`the conversion from Arrow to Parquet could not be done: ${reason}`, { cause })
  }
  return new IpcError('the file is damaged', { cause })
}
