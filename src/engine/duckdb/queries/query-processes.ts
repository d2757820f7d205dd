import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { keepYoung } from '../../../platform/keep-young.ts'
import type { QueryResult, QueryRows } from '../../engine.ts'
import { type QueryJob, RESULT_FILE, versionsOf } from './messages.ts'
import { type ProcessLimits, QueryProcess } from './query-process.ts'

/** How queries run that somebody wrote; see commands/parts.ts. */
export interface QueryLimits {
  /** What each may take, in bytes; 1 GiB where left out. */
  memoryBytes?: number
  /** Where their results are written first: on the disk of those who take them. A folder of its own where left out. */
  folder?: string
  /** Where kinds besides those that ship are defined. */
  kindsDir?: string | undefined
  /** Processes that are kept ready for the next query; none where left out, but those that have just done one. */
  ready?: number
  /** How often their folders are kept from being taken for a dead process's; see keepYoung. */
  keepMs?: number
}

const MEMORY_BYTES = 1 << 30
const MAX_THREADS = 4
/** One that has a version open keeps its file on the disk, and what it has read of it in memory. */
const IDLE_MS = 10_000
const LOOK_MS = 1_000

interface Idle {
  process: QueryProcess
  since: number
}

/**
 * The processes in which queries run that somebody wrote (query-process.ts), as many as there are queries; how many
 * those are is the caller's care.
 *
 *   ready ── query ──▶ busy ─┬─ done ──▶ idle, with its version open ─┬─ query of any version ──▶ busy
 *                            │                                        └─ for a while ──▶ ended
 *                            └─ killed, died, failed by a fault of ours, or worn out: no other is any the wiser
 */
export class QueryProcesses {
  readonly #limits: ProcessLimits
  readonly #folder: string
  readonly #ownsFolder: boolean
  readonly #ready: number
  readonly #all = new Set<QueryProcess>()
  #idle: Idle[] = []
  readonly #timer: NodeJS.Timeout
  readonly #leaveAlone: () => void
  #closed: Promise<void> | undefined

  constructor({ memoryBytes = MEMORY_BYTES, folder, kindsDir, ready = 0, keepMs }: QueryLimits = {}) {
    this.#limits = { memoryBytes, threads: Math.min(availableParallelism(), MAX_THREADS), kindsDir }
    this.#ownsFolder = folder === undefined
    this.#folder = folder ?? mkdtempSync(join(tmpdir(), 'teatree-queries-'))
    this.#ready = ready
    this.#timer = setInterval(() => this.#endIdle(), LOOK_MS)
    this.#timer.unref()
    this.#leaveAlone = keepYoung(() => [...this.#all].map(process => process.folder), keepMs)
    this.#keepReady()
  }

  /** Runs a query; its result is at `to`, null where none is wanted. */
  run(job: QueryJob, to: string | null, seconds: number, signal: AbortSignal | undefined): Promise<QueryResult> {
    return this.#inOne(job, signal, async process => {
      const result = await process.run(job, seconds, signal)
      if (to !== null) await process.take(to)
      return result
    })
  }

  /** A page of a query function over frames. */
  page(job: QueryJob, seconds: number, signal: AbortSignal | undefined): Promise<QueryRows> {
    return this.#inOne(job, signal, process => process.page(job, seconds, signal))
  }

  async #inOne<T>(
    job: QueryJob,
    signal: AbortSignal | undefined,
    work: (process: QueryProcess) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    if (this.#closed) throw new Error('the readers are closed')
    const versions = versionsOf(job)
    const process = this.#take(versions)
    try {
      // What a query before left would be looked at as this one's.
      await rm(join(process.folder, RESULT_FILE), { force: true })
      return await work(process)
    } finally {
      await this.#giveBack(process)
    }
  }

  #take(versions: string): QueryProcess {
    const alive = this.#idle.filter(({ process }) => !process.isDead)
    const found =
      alive.find(({ process }) => process.opened === versions) ??
      alive.find(({ process }) => process.opened === null) ??
      alive[0]
    this.#idle = alive.filter(one => one !== found)
    const process = found?.process ?? this.#start()
    process.opened = versions
    this.#keepReady()
    return process
  }

  async #giveBack(process: QueryProcess): Promise<void> {
    if (process.isDead || (await process.isWornOut())) this.#end(process)
    else this.#idle.push({ process, since: performance.now() })
    this.#keepReady()
  }

  #start(): QueryProcess {
    const process = new QueryProcess(join(this.#folder, randomUUID()), this.#limits)
    this.#all.add(process)
    return process
  }

  #keepReady(): void {
    while (!this.#closed && this.#idle.length < this.#ready)
      this.#idle.push({ process: this.#start(), since: performance.now() })
  }

  #endIdle(): void {
    const now = performance.now()
    const due = this.#idle.filter(({ process, since }) =>
      process.isDead ? true : process.opened !== null && now - since >= IDLE_MS,
    )
    this.#idle = this.#idle.filter(one => !due.includes(one))
    for (const { process } of due) this.#end(process)
    this.#keepReady()
  }

  #end(process: QueryProcess): void {
    void process.close().finally(() => this.#all.delete(process))
  }

  /** Ends them all, with what they are doing. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    clearInterval(this.#timer)
    this.#leaveAlone()
    this.#idle = []
    await Promise.all([...this.#all].map(process => process.close()))
    if (this.#ownsFolder) rmSync(this.#folder, { recursive: true, force: true })
  }
}
