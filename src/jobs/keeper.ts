import type { Log } from '../platform/log.ts'
import { type LetGoDeps, letGo } from './let-go.ts'
import { PerKey } from './per-key.ts'
import { VersionDisk } from './version-disk.ts'

/** Between two measurings of what the versions of a model take on disk. */
const MEASURE_MS = 1000

/** Lets versions go as often as it is asked to, of each model once at a time. Any number of processes may be at it. */
export class Keeper {
  readonly #disk = new VersionDisk()
  readonly #measuredAt = new Map<string, number>()
  readonly #runs: PerKey

  /** `onGone` is told of a model whose versions have gone. */
  constructor(deps: LetGoDeps & { log: Log; onGone?(model: string): void }) {
    this.#runs = new PerKey(async model => {
      try {
        if (await letGo(deps, model, this.#diskFor(model))) deps.onGone?.(model)
      } catch (error) {
        deps.log.warn({ model, err: error }, 'old versions were not let go')
      }
    })
  }

  /** Sees to it that what need not be kept of the model goes; nobody waits for it. */
  request(model: string): void {
    this.#runs.request(model)
  }

  #diskFor(model: string): VersionDisk | null {
    const now = performance.now()
    if (now - (this.#measuredAt.get(model) ?? Number.NEGATIVE_INFINITY) < MEASURE_MS) return null
    this.#measuredAt.set(model, now)
    return this.#disk
  }

  close(): Promise<void> {
    return this.#runs.close()
  }
}
