import type { TableRows, Work, WorkOutcome } from '../engine.ts'
import { type DuckDBSql, quoted } from './sql.ts'

/** How many rows the tables have. Counting them takes the longer the larger they are, so what was written is added up. */
export class TableCounts {
  readonly #sql: DuckDBSql
  readonly #names: readonly string[]
  /** By table; null where they must be counted. */
  #counts: Map<string, number> | null = null

  constructor(sql: DuckDBSql, names: readonly string[]) {
    this.#sql = sql
    this.#names = names
  }

  /** Takes in what became of a batch. */
  applied(work: readonly Work[], outcomes: readonly WorkOutcome[]): void {
    for (const [index, { change }] of work.entries()) {
      const outcome = outcomes[index]
      if (!outcome?.ok) continue
      // What a function wrote, it alone knows.
      if (!('table' in change)) this.#counts = null
      else this.#add(change.table, Number(outcome.result.inserted) - Number(outcome.result.deleted))
    }
  }

  #add(table: string, rows: number): void {
    this.#counts?.set(table, (this.#counts.get(table) ?? 0) + rows)
  }

  /** In the order of the names. */
  async tables(): Promise<TableRows[]> {
    this.#counts ??= await this.#count()
    const counts = this.#counts
    return this.#names.map(name => ({ name, rows: counts.get(name) ?? 0 }))
  }

  async #count(): Promise<Map<string, number>> {
    const counts = this.#names.map((name, index) => `SELECT ${index} AS place, count(*) AS rows FROM ${quoted(name)}`)
    const rows = await this.#sql.all(counts.join(' UNION ALL '))
    return new Map(rows.map(({ place, rows }) => [this.#names[Number(place)] ?? '', Number(rows)]))
  }
}
