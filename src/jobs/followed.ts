/** Something that is followed: a model's log, an intent. */
export interface FollowedThing extends Disposable {
  /** Another one each time that it may have changed: what is read of one state is the same for all. */
  readonly state: number
  /** The same for all who follow it. */
  readonly thing: object
}

interface Thing<Head> {
  followers: number
  state: number
  /** What told its states apart when it was last looked at; undefined before, null where there is no such thing. */
  head: Head | null | undefined
}

/** What is followed in this process, and what tells its states apart. */
export class Followed<Head extends string | bigint> {
  readonly #things = new Map<string, Thing<Head>>()
  #states = 0

  get keys(): readonly string[] {
    return [...this.#things.keys()]
  }

  isFollowed(key: string): boolean {
    return this.#things.has(key)
  }

  /** Until it is disposed of. */
  follow(key: string): FollowedThing {
    const thing = this.#things.get(key) ?? { followers: 0, state: ++this.#states, head: undefined }
    this.#things.set(key, thing)
    thing.followers += 1
    return {
      thing,
      get state() {
        return thing.state
      },
      [Symbol.dispose]: () => {
        thing.followers -= 1
        if (thing.followers === 0) this.#things.delete(key)
      },
    }
  }

  /** It may have changed. */
  moved(key: string): void {
    const thing = this.#things.get(key)
    if (thing) thing.state = ++this.#states
  }

  /** Writes down where it is; true where it was elsewhere. A position that is behind another was only seen later. */
  sawHead(key: string, head: Head | null): boolean {
    const thing = this.#things.get(key)
    if (!thing || thing.head === head) return false
    if (typeof head === 'bigint' && typeof thing.head === 'bigint' && head < thing.head) return false
    thing.head = head
    return true
  }
}
