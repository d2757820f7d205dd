import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { execArgv } from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { releaseAll } from './lease.ts'
import type { FromManager, ToManager } from './messages.ts'

/** What a model may do to those beside it in a manager. */
export interface Risk {
  /** So many managers may have died of an intent of it that is to be tried again. */
  deaths: number
  /** An intent of it was PARKED not long ago: what comes next may be the same. */
  isTroubled: boolean
}

/** Sees that a model has a manager. The dispatcher asks; how a manager comes to run is the launcher's. */
export interface Launcher {
  /** Whether a manager of this launcher holds the model, or is about to. */
  holds(model: string): boolean
  /** Where it rests, or there is no room, nobody holds it yet. */
  hold(model: string, risk: Risk): void
  /** Whether the manager that is to hold the model has yet to come up. */
  isStarting(model: string): boolean
  /** Ends the manager that is to hold the model and does not, with all that it holds; they are dispatched anew. */
  giveUp(model: string): void
  /** Why the last manager that was started did not come up; null where it did, or none is asked for any more. */
  fault(): string | null
  /** Prometheus text of each manager, by its name. */
  metrics(): Promise<Record<string, string>>
  /** Tells the managers to stop and waits until they have, once however often it is called. No other is started from then on. */
  close(): Promise<void>
}

interface Process {
  name: string
  child: ChildProcess
  /** The owner of its leases, once it is ready. */
  owner: string | null
  models: Set<string>
  /** One for a suspect, or for troubled models, ends with its holding those; a spare holds nothing yet. */
  is: 'for models' | 'for a suspect' | 'for troubled ones' | 'spare'
}

/**
 * A manager that does not end by itself is killed after this; longer than a line's own grace. What is released after the managers,
 * PostgreSQL last, has what is left of the 10 s within which the whole platform ends.
 */
const STOP_MS = 7000
const METRICS_MS = 1000
/** Whoever has work for a manager that did not come up asks for another sooner; after this nobody has: another server may. */
const FAULT_MS = 10_000
/** Many times what a manager takes to come up on a machine that is not overloaded, and at most so many times that. */
const START_MS = 30_000
const MOST_PATIENCE = 8
/** A young heap that begins small is collected over and over while packages are loaded, of which nothing is garbage: a tenth of a start. */
const HEAP = ['--min-semi-space-size=16']
/** Of Unix's niceness: a third of the processor's time of another that wants it all. With 10 it comes up too late on a machine that is overloaded. */
const NICE = 5
/** After this, who was refused a model is told that it may be had. */
const REFUSED_MS = 50
/**
 * A suspect is left alone for so long after each death, times their number: those who lost their manager to it go first. Of one
 * death whoever was at work beside it is a suspect, too; but he needs a process that starts, for which there is no processor until then.
 */
const REST_MS = 1000
/** Models that are suspects at the same time; others wait until one of them has been let go. */
const MOST_SUSPECTS = 4
/** So many processes are for troubled models; more models share them. */
const MOST_TROUBLED = 2
/** With more models than this there is a spare manager; on a laptop with few it would be one process in three. */
const WITHOUT_SPARE = 8
/** So long who has just got a manager has the machine to himself, before the next spare is started. */
const SPARE_MS = 10_000

/**
 * Managers as child processes on this machine, so that a crash in native code takes down a manager and neither the API
 * nor readers. They are started when they are first needed, hold many models each, and stay warm.
 *
 *   none ─ hold ─▶ starting ─ ready ─▶ running ─ exit ─▶ its leases are released at once, its models dispatched anew
 *                     └─ exit ─▶ whoever looks next starts another: one that cannot start is not started in a circle
 *
 * One that hangs, in a loop of a function's or stopped from outside, cannot be asked to end. It is killed: as it starts
 * by the clock, later by whoever sees that its leases ended.
 *
 * A model that may have been the death of its manager goes on in a process of its own, after a rest: who is in the line of
 * another model does not wait for a new manager, nor for a processor, as often as an intent that kills is tried. What
 * comes after one that was PARKED is kept from other models for a while, too: it may be the same. And where there are
 * many models, a spare manager is up to take over those of the next that dies.
 */
export class LocalLauncher implements Launcher {
  readonly #db: Database
  readonly #log: Log
  readonly #program: string
  readonly #env: NodeJS.ProcessEnv
  #processes: readonly Process[] = []
  /** So many are for all models. */
  readonly #managers: number
  #spareTimer: NodeJS.Timeout | null = null
  readonly #onLost: (model: string) => void
  readonly #startMs: number
  readonly #withoutSpare: number
  readonly #spareMs: number
  readonly #restMs: number
  /** Suspects that are not held yet: after how many deaths they rest, or have. */
  readonly #resting = new Map<string, { deaths: number; isOver: boolean }>()
  /** How many times as long the next manager has to come up: where those before it were only slow, to kill it as early goes on for ever. */
  #patience = 1
  readonly #metrics = new Map<number, (text: string) => void>()
  #requests = 0
  #fault: string | null = null
  #faultAt = 0
  #closing: Promise<unknown> | null = null

  constructor(deps: {
    db: Database
    log: Log
    /** The script that is run with the argument `manager`. */
    program: string
    env: NodeJS.ProcessEnv
    managers: number
    /** Told when a model was held here and is no longer, or was to be and is not: there may be work for it that nobody was told of. */
    onLost(model: string): void
    /** A manager that is not ready after this is killed; each that follows it has twice as long, until one is. */
    startMs?: number
    /** With more models than this there is a spare manager. */
    withoutSpare?: number
    /** It is started so long after it is first wanted. */
    spareMs?: number
    /** A suspect rests for so long after each death, times their number. */
    restMs?: number
  }) {
    this.#db = deps.db
    this.#log = deps.log
    this.#program = deps.program
    this.#env = deps.env
    this.#managers = deps.managers
    this.#onLost = deps.onLost
    this.#startMs = deps.startMs ?? START_MS
    this.#withoutSpare = deps.withoutSpare ?? WITHOUT_SPARE
    this.#spareMs = deps.spareMs ?? SPARE_MS
    this.#restMs = deps.restMs ?? REST_MS
  }

  holds(model: string): boolean {
    return this.#holder(model) !== undefined
  }

  isStarting(model: string): boolean {
    return this.#holder(model)?.owner === null
  }

  hold(model: string, risk: Risk): void {
    if (this.#closing || this.holds(model) || this.#rests(model, risk.deaths)) return
    const process = this.#processFor(risk)
    if (!process) return
    process.models.add(model)
    const apart = process.is === 'for a suspect' ? 'suspect' : process.is === 'for troubled ones' ? 'troubled' : null
    this.#send(process, { is: 'hold', model, apart })
    this.#keepSpare()
  }

  giveUp(model: string): void {
    const process = this.#holder(model)
    if (process && !this.#closing) this.#kill(process, 'a manager hangs')
  }

  fault(): string | null {
    const isTriedAgain = this.#processes.some(({ owner }) => owner === null)
    if (!isTriedAgain && performance.now() - this.#faultAt > FAULT_MS) return null
    return this.#fault
  }

  #holder(model: string): Process | undefined {
    return this.#processes.find(({ models }) => models.has(model))
  }

  /** What it had in hand is counted as by any death of a manager, and set aside in the end if that is what hangs. */
  #kill({ name, child }: Process, why: string): void {
    if (child.killed) return
    this.#log.error({ manager: name, pid: child.pid }, why)
    // Nothing less reaches a process that is stopped or never comes back to its event loop.
    child.kill('SIGKILL')
  }

  #processFor({ deaths, isTroubled }: Risk): Process | null {
    if (deaths > 0) return this.#forSuspect(deaths)
    return isTroubled ? this.#forTroubled() : this.#leastLoaded()
  }

  #forTroubled(): Process {
    const [least, ...others] = this.#fromLeastLoaded('for troubled ones')
    return least && others.length >= MOST_TROUBLED - 1 ? least : this.#start('for troubled ones')
  }

  #leastLoaded(): Process {
    const [least, ...others] = this.#fromLeastLoaded('for models')
    if (least && (least.models.size === 0 || others.length === this.#managers - 1)) return least
    const [spare] = this.#those('spare')
    if (!spare) return this.#start('for models')
    spare.is = 'for models'
    return spare
  }

  /** From when it is first asked for after a death, and once for each, whatever becomes of who is to hold it then. */
  #rests(model: string, deaths: number): boolean {
    if (deaths === 0) {
      this.#resting.delete(model)
      return false
    }
    const known = this.#resting.get(model)
    if (known?.deaths === deaths) return !known.isOver
    const rest = { deaths, isOver: false }
    this.#resting.set(model, rest)
    this.#later(deaths * this.#restMs, () => {
      rest.isOver = true
      this.#onLost(model)
    })
    return true
  }

  #forSuspect(deaths: number): Process | null {
    if (this.#those('for a suspect').length >= MOST_SUSPECTS) return null
    const process = this.#start('for a suspect')
    // Of one death, whoever was at work beside it is a suspect, too.
    if (deaths > 1) yieldsToOthers(process.child)
    return process
  }

  #those(is: Process['is']): Process[] {
    return this.#processes.filter(process => process.is === is)
  }

  #fromLeastLoaded(is: Process['is']): Process[] {
    return this.#those(is).toSorted((a, b) => a.models.size - b.models.size)
  }

  /** Starts a spare in a while, where there are models enough for one and none is there. */
  #keepSpare(): void {
    const isWanted = () =>
      !this.#closing &&
      this.#those('spare').length === 0 &&
      this.#those('for models').reduce((sum, { models }) => sum + models.size, 0) > this.#withoutSpare
    if (this.#spareTimer || !isWanted()) return
    this.#spareTimer = setTimeout(() => {
      this.#spareTimer = null
      // Somebody waits for one that starts; when that is up, or has ended, the spare is thought of again.
      if (!isWanted() || this.#processes.some(({ owner }) => owner === null)) return
      try {
        this.#start('spare')
      } catch (error) {
        this.#log.warn({ err: error }, 'a spare manager cannot be started')
      }
    }, this.#spareMs).unref()
  }

  #start(is: Process['is']): Process {
    const name = this.#freeName()
    const child = fork(this.#program, ['manager', '--local', name], {
      env: this.#env,
      execArgv: [...execArgv, ...HEAP],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const process: Process = { name, child, owner: null, models: new Set(), is }
    this.#processes = [...this.#processes, process]
    const patience = this.#patience
    const late = setTimeout(() => {
      if (process.owner !== null) return
      this.#patience = Math.min(2 * patience, MOST_PATIENCE)
      this.#kill(process, 'a manager does not come up')
    }, this.#startMs * patience)
    const ended = (code: number | null, signal: string | null) => {
      clearTimeout(late)
      this.#ended(process, code, signal)
    }
    child.on('message', message => this.#told(process, message as FromManager))
    child.on('error', error => {
      this.#log.error({ manager: name, err: error }, 'manager process')
      // One that never ran does not exit either.
      if (child.pid === undefined) ended(null, null)
    })
    child.once('exit', ended)
    return process
  }

  /** Metrics go by these names, so there are few. */
  #freeName(): string {
    const taken = new Set(this.#processes.map(({ name }) => name))
    for (let number = 1; ; number++) if (!taken.has(`manager-${number}`)) return `manager-${number}`
  }

  #told(process: Process, message: FromManager): void {
    if (message.is === 'ready') {
      process.owner = message.owner
      this.#fault = null
      this.#patience = 1
      this.#keepSpare()
    }
    if (message.is === 'held') this.#resting.delete(message.model)
    if (message.is === 'refused') {
      process.models.delete(message.model)
      // Its lease may have been that of a manager which had just died: whoever has work for it may have looked before it was released.
      this.#later(REFUSED_MS, () => this.#onLost(message.model))
    }
    if (message.is === 'released' && process.models.delete(message.model) && !this.#closing) this.#onLost(message.model)
    const isApart = process.is === 'for a suspect' || process.is === 'for troubled ones'
    if (isApart && process.models.size === 0 && message.is !== 'metrics') void this.#stop(process)
    if (message.is === 'metrics') this.#metrics.get(message.request)?.(message.text)
  }

  #later(ms: number, then: () => void): void {
    setTimeout(() => {
      if (!this.#closing) then()
    }, ms).unref()
  }

  #ended(process: Process, code: number | null, signal: string | null): void {
    this.#processes = this.#processes.filter(each => each !== process)
    if (this.#closing) return
    const { owner, name, models } = process
    // A spare that cannot start is not started in a circle.
    if (owner !== null || process.is !== 'spare') this.#keepSpare()
    this.#log.warn({ manager: name, code, signal, models: models.size }, 'manager ended')
    if (owner === null) {
      this.#faultAt = performance.now()
      this.#fault = `A manager ended by ${signal ?? `exit code ${code}`} before it came up; the log has its reason.`
      return
    }
    this.#releaseAll(owner).then(() => {
      for (const model of models) this.#onLost(model)
    })
  }

  /** The process is dead for certain, so nobody has to wait until its leases end by themselves. */
  #releaseAll(owner: string): Promise<void> {
    return releaseAll(this.#db, owner).catch(error =>
      this.#log.warn({ err: error }, 'the leases of a dead manager end by themselves'),
    )
  }

  #send(process: Process, message: ToManager): void {
    if (process.child.connected)
      process.child.send(message, error => error && this.#log.debug({ err: error }, 'manager not told'))
  }

  async metrics(): Promise<Record<string, string>> {
    const texts = this.#processes.map(async process => [process.name, await this.#metricsOf(process)] as const)
    return Object.fromEntries((await Promise.all(texts)).filter(([, text]) => text !== ''))
  }

  async #metricsOf(process: Process): Promise<string> {
    const request = this.#requests++
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#metrics.set(request, resolve)
    this.#send(process, { is: 'metrics', request })
    const text = await Promise.race([promise, wait(METRICS_MS, '', { ref: false })])
    this.#metrics.delete(request)
    return text
  }

  async close(): Promise<void> {
    clearTimeout(this.#spareTimer ?? undefined)
    this.#closing ??= Promise.all(this.#processes.map(process => this.#stop(process)))
    await this.#closing
  }

  async #stop(process: Process): Promise<void> {
    const { child, owner } = process
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    this.#send(process, { is: 'stop' })
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exit
    clearTimeout(late)
    if (owner !== null && child.signalCode !== null) await this.#releaseAll(owner)
  }
}

/** What has taken down a manager of its own, and is tried again, has less of the processor than others: coming up takes much of it. */
function yieldsToOthers({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, NICE)
  } catch {
    // It has ended, or the system has no priorities.
  }
}
