/** A log that somebody follows. */
export interface FollowedLog extends Disposable {
  /** Another one each time that the log may have gone on: what is read of one state is the same for all. */
  readonly state: number
}

interface Log {
  followers: number
  state: number
  /** The newest position when it was last looked at; undefined before, null where there is no such model. */
  head: bigint | null | undefined
}

/** The logs that are followed in this process, and what tells their states apart. */
export class FollowedLogs {
  readonly #logs = new Map<string, Log>()
  #states = 0

  get models(): readonly string[] {
    return [...this.#logs.keys()]
  }

  /** Until it is disposed of. */
  follow(model: string): FollowedLog {
    const log = this.#logs.get(model) ?? { followers: 0, state: ++this.#states, head: undefined }
    this.#logs.set(model, log)
    log.followers += 1
    return {
      get state() {
        return log.state
      },
      [Symbol.dispose]: () => {
        log.followers -= 1
        if (log.followers === 0) this.#logs.delete(model)
      },
    }
  }

  /** The log may have gone on. */
  moved(model: string): void {
    const log = this.#logs.get(model)
    if (log) log.state = ++this.#states
  }

  /** Writes down where the log is; true where it was elsewhere. */
  sawHead(model: string, head: bigint | null): boolean {
    const log = this.#logs.get(model)
    if (!log || log.head === head) return false
    log.head = head
    return true
  }
}
