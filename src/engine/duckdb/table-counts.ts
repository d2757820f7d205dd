import type { TableRows, Work, WorkOutcome } from '../engine.ts'
import { type DuckDBSql, quoted } from './sql.ts'

/**
 * How many rows the tables have, and since when they have only grown. Counting them takes the longer the larger they are,
 * so what was written is added up.
 */
export class TableCounts {
  readonly #sql: DuckDBSql
  readonly #names: readonly string[]
  /** By table; null where they must be counted. */
  #counts: Map<string, number> | null = null
  readonly #grownSince: Map<string, number>

  /** `version` is what the database holds: what was written before it is not known. */
  constructor(sql: DuckDBSql, names: readonly string[], version: number) {
    this.#sql = sql
    this.#names = names
    this.#grownSince = new Map(names.map(name => [name, version]))
  }

  /** Takes in what became of a batch that led to `version`. */
  applied(work: readonly Work[], outcomes: readonly WorkOutcome[], version: number): void {
    for (const [index, { change }] of work.entries()) {
      const outcome = outcomes[index]
      if (!outcome?.ok) continue
      // What a function wrote, it alone knows.
      if (!('table' in change)) {
        this.replaced(version)
        continue
      }
      const { inserted, updated, deleted } = outcome.result
      this.#add(change.table, Number(inserted) - Number(deleted))
      if (Number(updated) > 0 || Number(deleted) > 0) this.#grownSince.set(change.table, version)
    }
  }

  /** Any table may be another with this version. */
  replaced(version: number): void {
    this.#counts = null
    for (const name of this.#names) this.#grownSince.set(name, version)
  }

  #add(table: string, rows: number): void {
    this.#counts?.set(table, (this.#counts.get(table) ?? 0) + rows)
  }

  /** In the order of the names. */
  async tables(): Promise<TableRows[]> {
    this.#counts ??= await this.#count()
    const counts = this.#counts
    return this.#names.map(name => ({
      name,
      rows: counts.get(name) ?? 0,
      grownSince: this.#grownSince.get(name) ?? 0,
    }))
  }

  async #count(): Promise<Map<string, number>> {
    const counts = this.#names.map((name, index) => `SELECT ${index} AS place, count(*) AS rows FROM ${quoted(name)}`)
    const rows = await this.#sql.all(counts.join(' UNION ALL '))
    return new Map(rows.map(({ place, rows }) => [this.#names[Number(place)] ?? '', Number(rows)]))
  }
}
