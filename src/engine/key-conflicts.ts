import type { Table } from '../kinds/kind.ts'
import type { Value } from '../kinds/types.ts'
import { shown } from '../kinds/values.ts'
import { type CellError, MAX_CELLS, TeatreeError } from '../platform/errors.ts'

/** A row that is to be appended, and whose key may be taken. */
export interface Candidate {
  intent: number
  row: number
  line: number | null
  key: Value[]
  there: boolean
  /** Which of the staged rows with this key it is, from 1. */
  nth: number
}

/**
 * Which of the intents cannot be appended, with the error for each: those that have a key twice, or that is in the table,
 * or in an intent before them that can be appended.
 * @param candidates by intent and row: all whose key is in the table or comes more than once; of a single intent only
 *   those that are at fault for themselves (`there`, or `nth` > 1)
 */
export function conflictsAmong(
  table: Table,
  candidates: readonly Candidate[],
  intents: number,
): Map<number, TeatreeError> {
  const refused = new Map<number, TeatreeError>()
  const taken = new Map<string, number>()
  for (const [intent, rows] of Map.groupBy(candidates, row => row.intent)) {
    const own = new Set<string>()
    const cells: CellError[] = []
    for (const { key, row, line, there, nth } of rows) {
      const text = JSON.stringify(key)
      const isTwice = own.has(text) || (intents === 1 && nth > 1)
      own.add(text)
      if (!there && !taken.has(text) && !isTwice) continue
      const message = `${key.map(shown).join(', ')} ${there || taken.has(text) ? 'is there already' : 'is there twice in these rows'}`
      cells.push({ row, ...(line === null ? {} : { line }), column: table.key.join(', '), message })
    }
    if (cells.length > 0) refused.set(intent, keyConflict(table, cells))
    else for (const text of own) taken.set(text, intent)
  }
  return refused
}

function keyConflict(table: Table, cells: readonly CellError[]): TeatreeError {
  const [first] = cells
  const more = cells.length >= MAX_CELLS ? '; and more' : cells.length > 1 ? `; and ${cells.length - 1} more` : ''
  const place = first?.line === undefined ? `row ${first?.row}` : `line ${first.line}`
  return new TeatreeError(
    'KEY_CONFLICT',
    `${place}: the key (${first?.column}) ${first?.message} in ${table.name}${more}`,
    {
      cells,
    },
  )
}
