import { DuckDBInstance } from '@duckdb/node-api'

/** What an instance is made with; for its life. */
export type InstanceSettings = Readonly<Record<string, string>>

/** Who has just got one is at work: the next is made behind him. */
const REST_MS = 100

/**
 * Instances of DuckDB that hold no database yet. To make one, with all the functions that DuckDB knows, takes the processor
 * several times as long as to attach a model's database to it, so where models wake up one is kept that nobody has to wait for.
 */
export class Instances {
  #ready: { settings: string; instance: Promise<DuckDBInstance> } | null = null
  #rest: NodeJS.Timeout | null = null

  /** One that is the caller's to close. */
  async take(settings: InstanceSettings): Promise<DuckDBInstance> {
    const text = JSON.stringify(settings)
    const ready = this.#ready?.settings === text ? this.#ready : null
    if (ready) this.#ready = null
    this.#rest ??= setTimeout(() => this.#prepare(text, settings), REST_MS).unref()
    return (await ready?.instance.catch(() => null)) ?? makeInstance(settings)
  }

  #prepare(text: string, settings: InstanceSettings): void {
    this.#rest = null
    if (this.#ready?.settings === text) return
    this.#ready?.instance.then(unwanted => unwanted.closeSync()).catch(() => {})
    this.#ready = { settings: text, instance: makeInstance(settings) }
    // Who takes it makes another.
    this.#ready.instance.catch(() => {})
  }
}

export const makeInstance = (settings: InstanceSettings): Promise<DuckDBInstance> =>
  DuckDBInstance.create(':memory:', settings)
