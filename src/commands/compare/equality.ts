import { isDeepStrictEqual } from 'node:util'
import type { Answers } from './messages.ts'

/** Where two answers to the same query are not the same; null where they are. */
export function answersDiffer(first: Answers, second: Answers): string | null {
  for (const name of new Set([...Object.keys(first), ...Object.keys(second)])) {
    const [one = [], other = []] = [first[name], second[name]]
    if (one.length !== other.length) return `${name}: asked ${one.length} times, and ${other.length} times`
    for (const [n, answer] of one.entries()) {
      const place = answer.findIndex((row, index) => !isDeepStrictEqual(row, other[n]?.[index]))
      if (place >= 0) return `${name}, row ${place + 1}: ${shown(answer[place])}, and ${shown(other[n]?.[place])}`
      const rows = other[n]?.length ?? 0
      if (rows > answer.length) return `${name}: ${answer.length} rows, and ${rows}`
    }
  }
  return null
}

/** How many rows there are in all. */
export const rowsOf = (answers: Answers): number =>
  Object.values(answers)
    .flat()
    .reduce((sum, { length }) => sum + length, 0)

const shown = (row: unknown): string => (row === undefined ? 'none' : JSON.stringify(row))
