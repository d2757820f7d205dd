import { UsageError } from '../platform/errors.ts'

/** Stops the start: one line that names the kind and the place in it. */
export function broken(place: string, message: string): never {
  throw new UsageError(`${place}: ${message}`.replace(/\s+/g, ' '))
}

const MAX_NAME = 48

/** Refuses what is no identifier in GraphQL and in every engine alike. */
export function checkIdentifier(place: string, name: string, form = /^[A-Za-z_][A-Za-z0-9_]*$/): void {
  const named = JSON.stringify(name.slice(0, MAX_NAME))
  if (!form.test(name)) broken(place, `${named} is no name of the form ${form.source}`)
  if (name.includes('__'))
    broken(place, `${named} holds two underscores in a row, which are the platform's and GraphQL's`)
  if (name.length > MAX_NAME) broken(place, `${named}… is longer than ${MAX_NAME} characters`)
}

/**
 * Names that must be told apart. Two that differ only by case are one name here: GraphQL tells them apart, DuckDB does
 * not, and people should not have to.
 */
export class Scope {
  readonly #taken = new Map<string, { name: string; by: string }>()

  constructor(reserved: readonly string[] = [], by = 'the platform') {
    for (const name of reserved) this.#taken.set(name.toLowerCase(), { name, by })
  }

  /** @param by who takes it, as it is told to the next who tries */
  claim(place: string, name: string, by: string): void {
    const taken = this.#taken.get(name.toLowerCase())
    if (taken) {
      const other = taken.name === name ? '' : `, as ${taken.name}, which differs only by case`
      broken(place, `the name ${name} is taken by ${taken.by}${other}`)
    }
    this.#taken.set(name.toLowerCase(), { name, by })
  }
}
