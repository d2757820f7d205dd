import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { TeatreeError } from '../../../platform/errors.ts'
import type { QueryResult, QueryRows } from '../../engine.ts'
import { SnapshotDamaged } from '../../snapshot-damaged.ts'
import { type FromQueryProcess, type QueryJob, RESULT_FILE } from './messages.ts'
import { ownMemory } from './process-memory.ts'
import { resultTooLarge, tooExpensive } from './query-errors.ts'

export interface ProcessLimits {
  /** What DuckDB may take for a query, in bytes. */
  memoryBytes: number
  threads: number
  /** Where kinds besides those that ship are defined. */
  kindsDir: string | undefined
}

/** The program's file, in whichever form this one is run. */
const PROGRAM = import.meta.filename.replace(/query-process(\.\w+)$/, 'query-program$1')
/** What Node and the engines take besides, of memory that is theirs alone (process-memory.ts). */
const OWN_MEMORY = 304 << 20
/** What they have of it when they do nothing. */
const IDLE_MEMORY = 48 << 20
/** OWN_MEMORY as address space that could be written to, much of which never is. */
const OWN_DATA = 1024 << 20
const LOOK_MS = 50
const MAX_REASON = 4_000

/** What a process has found. */
type Answer = Extract<FromQueryProcess, { is: 'done' | 'page' }>

/** Not told to clients: what the log needs to know of a process that failed. */
export class QueryProcessFailed extends Error {
  override readonly name = 'QueryProcessFailed'
}

/**
 * A process for queries that somebody wrote, one at a time. It has nothing of ours: an environment without secrets, a
 * folder of its own, no input. What a query may take is bounded from outside, and who goes too far is killed:
 *
 *   time                 by the clock here ──────────────────────────────────────▶ QUERY_TIMEOUT
 *   memory               what the system gives (RLIMIT_DATA); what it has to itself, as
 *                        the system counts it, every 50 ms; DuckDB's own limit ──────▶ QUERY_TOO_EXPENSIVE
 *   result               the file's size, looked at as often; its rows ───────────▶ RESULT_TOO_LARGE
 *   nobody waits         the signal ──────────────────────────────────────────────▶ the signal's reason
 *
 * Where it was killed, `run` rejects when it is dead: nothing is read of the version any more.
 */
export class QueryProcess {
  readonly folder: string
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #limits: ProcessLimits
  #job: PromiseWithResolvers<FromQueryProcess> | null = null
  #killedFor: unknown
  /** Why it ended, once it has. */
  #death: unknown
  #said = ''
  /** The versions that it has open, if any. */
  opened: string | null = null

  constructor(folder: string, limits: ProcessLimits) {
    this.folder = folder
    this.#limits = limits
    mkdirSync(folder, { recursive: true })
    const memory = `${Math.ceil(limits.memoryBytes / 1024)}KiB`
    const args = [PROGRAM, folder, memory, String(limits.threads)]
    this.#child = start([process.execPath, ...args, ...(limits.kindsDir === undefined ? [] : [limits.kindsDir])], {
      folder,
      dataBytes: limits.memoryBytes + OWN_DATA,
    })
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = (this.#said + bytes.toString()).slice(-MAX_REASON)
    })
    this.#child.on('message', message => this.#job?.resolve(message as FromQueryProcess))
    this.#exited = new Promise(resolve => {
      const ended = (code: number | null, signal: string | null) => {
        this.#death = this.#killedFor ?? deathOf(code, signal, this.#said)
        this.#job?.reject(this.#death)
        rm(folder, { recursive: true, force: true }).then(resolve, resolve)
      }
      this.#child.once('exit', ended)
      // One that never ran does not exit either.
      this.#child.on('error', error => {
        this.#said += error.message
        if (this.#child.pid === undefined) ended(null, null)
      })
    })
    // A server that has nothing else to do may end.
    this.#child.unref()
    this.#child.channel?.unref()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get isDead(): boolean {
    return this.#death !== undefined || this.#killedFor !== undefined
  }

  /** Does the job; the result is in `RESULT_FILE` of its folder. One at a time. */
  async run(job: QueryJob, seconds: number, signal: AbortSignal | undefined): Promise<QueryResult> {
    const message = await this.#answerTo(job, seconds, signal)
    if (message.is !== 'done') throw new Error('who asks for a result gets no page')
    const bytes = await this.#resultBytes()
    if (bytes > job.bytes) throw resultTooLarge(job.bytes)
    return { ...message.result, bytes }
  }

  /** Does a job that wants a page. One at a time. */
  async page(job: QueryJob, seconds: number, signal: AbortSignal | undefined): Promise<QueryRows> {
    const message = await this.#answerTo(job, seconds, signal)
    if (message.is !== 'page') throw new Error('who asks for a page gets it')
    const { total, ...rows } = message.rows
    return { ...rows, total: total === null ? null : BigInt(total) }
  }

  async #answerTo(job: QueryJob, seconds: number, signal: AbortSignal | undefined): Promise<Answer> {
    const { bytes } = job
    if (this.#job) throw new Error('a query process does one query at a time')
    const work = Promise.withResolvers<FromQueryProcess>()
    this.#job = work
    const onAbort = () => this.kill(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const timer = setTimeout(() => this.kill(tooLong(seconds)), Math.min(seconds * 1000, MAX_TIMER_MS))
    const looks = setInterval(() => void this.#look(bytes), LOOK_MS)
    try {
      if (signal?.aborted) onAbort()
      else if (this.#death !== undefined) work.reject(new QueryProcessFailed('the process has ended'))
      else this.#child.send(job, () => {})
      return this.#answer(await work.promise)
    } finally {
      clearTimeout(timer)
      clearInterval(looks)
      signal?.removeEventListener('abort', onAbort)
      this.#job = null
    }
  }

  /** Moves the result of the job that is done; where the process has ended meanwhile, its folder has gone with it. */
  async take(to: string): Promise<void> {
    try {
      await rename(join(this.folder, RESULT_FILE), to)
    } catch (error) {
      throw this.#death ?? error
    }
  }

  #answer(message: FromQueryProcess): Answer {
    if (message.is === 'failed' || message.is === 'damaged') {
      const failed = new QueryProcessFailed(message.reason)
      // A DuckDB that met an error of its own answers nothing any more, and a damaged file stays as it was read.
      this.kill(failed)
      throw message.is === 'failed' ? failed : new SnapshotDamaged("the version's files are damaged", { cause: failed })
    }
    if (message.is === 'refused') throw new TeatreeError(message.code, message.message, refusal(message))
    return message
  }

  /** Whether so much of its memory is left taken, that the next query could not do with the rest. */
  async isWornOut(): Promise<boolean> {
    return (await ownMemory(this.#child.pid)) > IDLE_MEMORY + this.#limits.memoryBytes / 2
  }

  async #look(most: number): Promise<void> {
    const [memory, bytes] = await Promise.all([ownMemory(this.#child.pid), this.#resultBytes()])
    // It may have ended meanwhile.
    if (!this.#job) return
    if (memory > this.#limits.memoryBytes + OWN_MEMORY) this.kill(tooExpensive())
    else if (bytes > most) this.kill(resultTooLarge(most))
  }

  async #resultBytes(): Promise<number> {
    const found = await stat(join(this.folder, RESULT_FILE)).catch(() => null)
    return found?.size ?? 0
  }

  /** Ends it, with what it is doing, which rejects with `reason`. */
  kill(reason: unknown): void {
    this.#killedFor ??= reason ?? new QueryProcessFailed('the process was ended')
    // Nothing less ends what runs in native code.
    this.#child.kill('SIGKILL')
  }

  /** Ends it; settles when nothing of it is left. */
  async close(): Promise<void> {
    this.kill(new QueryProcessFailed('the readers are closed'))
    this.#child.ref()
    await this.#exited
  }
}

const refusal = ({ cells, details }: Extract<FromQueryProcess, { is: 'refused' }>) => ({
  cells,
  ...(details && { details }),
})

/** A timer of more than this goes off at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Through a shell that has the system bound its memory and its files; Windows has neither. */
function start(command: string[], { folder, dataBytes }: { folder: string; dataBytes: number }): ChildProcess {
  const limited =
    process.platform === 'win32'
      ? command
      : ['/bin/sh', '-c', 'ulimit -c 0; ulimit -d "$0" 2>/dev/null; exec "$@"', String(dataBytes >> 10), ...command]
  const [program = '', ...args] = limited
  return spawn(program, args, {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH,
      SystemRoot: process.env.SystemRoot,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      TZ: 'UTC',
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    windowsHide: true,
  })
}

/** Signals with which a process ends that was given no memory, or that the system ended for want of it. */
const FOR_MEMORY = new Set<string | null>(['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL'])

function deathOf(code: number | null, signal: string | null, said: string): Error {
  const died = new QueryProcessFailed(`the process ended with ${signal ?? `code ${code}`}: ${said}`)
  return FOR_MEMORY.has(signal) || /out of memory|bad_alloc/i.test(said) ? tooExpensive(died) : died
}

const tooLong = (seconds: number) =>
  new TeatreeError('QUERY_TIMEOUT', `The query was not done within its time limit of ${seconds} s; select less.`)
