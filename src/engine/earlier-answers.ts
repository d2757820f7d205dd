import { LRUCache } from 'lru-cache'
import type { Kind } from '../kinds/kind.ts'
import type { Row } from '../kinds/types.ts'
import type { TableRows, VersionOpened } from './engine.ts'
import { type PlanRead, tableRead, tablesBeside } from './plan-reads.ts'
import type { ResultCache } from './result-cache.ts'

/** So many versions back an answer is looked for. */
const BACK = 32
/** Versions whose tables are known. */
const MOST = 10_000

/** What an earlier version answered, and how many rows have come to the table since. */
export interface EarlierAnswer {
  rows: readonly Row[]
  added: number
}

/**
 * What versions of models have answered, for later ones to take over:
 *
 *   version 7    rows 1 … 900            answered: "the sales of May"
 *   version 8    rows 1 … 900, 901       the same, unless row 901 is one of May
 *
 * That needs a table to which rows have only been added since then (TableRows.grownSince), and that the tables which the
 * filter looks into besides are the same.
 */
export class EarlierAnswers {
  readonly #results: ResultCache
  readonly #rows = new LRUCache<string, ReadonlyMap<string, number>>({ max: MOST })

  constructor(results: ResultCache) {
    this.#results = results
  }

  opened({ model, version, tables }: VersionOpened): void {
    this.#rows.set(versionName(model, version), new Map(tables.map(({ name, rows }) => [name, rows])))
  }

  /** The newest there is of what `of` may answer to the read whose name is `name`. */
  find(of: VersionOpened, kind: Kind, read: PlanRead, name: string): EarlierAnswer | null {
    const tables = new Map(of.tables.map(table => [table.name, table]))
    const table = tables.get(tableRead(read))
    if (!table) return null
    const beside = [...tablesBeside(kind, read)].map(each => tables.get(each))
    const since = Math.max(of.version - BACK, ...[table, ...beside].map(each => each?.grownSince ?? of.version))
    for (let version = of.version - 1; version >= since; version--) {
      const added = this.#added(of.model, version, table)
      if (added === null || !beside.every(each => each && this.#added(of.model, version, each) === 0)) continue
      const rows = this.#results.peek(`${versionName(of.model, version)} ${name}`)
      // Under the name of a read there is only ever what was read.
      if (rows) return { rows: rows as readonly Row[], added }
    }
    return null
  }

  #added(model: string, version: number, { name, rows }: TableRows): number | null {
    const before = this.#rows.get(versionName(model, version))?.get(name)
    return before === undefined || before > rows ? null : rows - before
  }
}

export const versionName = (model: string, version: number): string => `${model}@${version}`
