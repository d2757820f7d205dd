import { hash } from 'node:crypto'
import type { Row, Tables } from './history.ts'

const lineOf = (row: Row): string => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))

/** The same for the same rows, in whatever order they and their columns come. */
export function digestOf(tables: Tables): string {
  const texts = Object.entries(tables)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, rows]) => [name, rows.map(lineOf).sort()])
  return hash('sha256', JSON.stringify(texts), 'hex').slice(0, 24)
}

/** What one has and the other has not, at most so much of it, in a line for each row. */
export function difference(expected: Tables, found: Tables, most = 6): string[] {
  const lines = Object.keys({ ...expected, ...found }).flatMap(table => {
    const [want = [], have = []] = [expected[table]?.map(lineOf), found[table]?.map(lineOf)]
    return [...surplus(want, have, `missing in ${table}`), ...surplus(have, want, `too much in ${table}`)]
  })
  return lines.length > most ? [...lines.slice(0, most), `and ${lines.length - most} more`] : lines
}

function surplus(of: readonly string[], over: readonly string[], what: string): string[] {
  const left = new Map<string, number>()
  for (const line of over) left.set(line, (left.get(line) ?? 0) + 1)
  return of.flatMap(line => {
    const count = left.get(line) ?? 0
    left.set(line, count - 1)
    return count > 0 ? [] : [`${what}: ${line}`]
  })
}
