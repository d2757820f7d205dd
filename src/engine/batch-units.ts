import type { Row } from '../kinds/types.ts'
import type { Work } from './engine.ts'

/**
 * What is written in one go: the appends (or upserts) to one table that several intents ask for, or one intent.
 * `places` are their places in the batch, ascending.
 */
export type Unit =
  | { is: 'append' | 'upsert'; table: string; places: number[]; rows: (readonly Row[])[] }
  | { is: 'single'; place: number; work: Work }

/** Rows that are staged at once. */
const MAX_ROWS = 50_000

/**
 * The batch in units, and the units by transaction. Appends to different tables change nothing for one another, so that
 * those to one table come together over others in between; an update, a delete or a function sees all before it.
 *
 *   append a, append b, append a, upsert a, delete b, function f, append a
 *   └ {a a} {b} ── {upsert a} ── {delete b} ┘ └ {f} ┘ └ {a} ┘        three transactions
 *
 * Functions, imports and copies have a transaction of their own: what fails halfway is then rolled back alone.
 */
export function unitsOf(batch: readonly Work[]): Unit[][] {
  const transactions: Unit[][] = []
  let units: Unit[] = []
  /** By table, each with how many rows it has. */
  let open = new Map<string, { unit: Extract<Unit, { places: number[] }>; size: number }>()
  const end = () => {
    if (units.length > 0) transactions.push(units)
    units = []
    open = new Map()
  }
  for (const [place, work] of batch.entries()) {
    const { change } = work
    if (change.is === 'append' || change.is === 'upsert') {
      const size = change.rows.length
      const last = open.get(change.table)
      if (last?.unit.is === change.is && last.size + size <= MAX_ROWS) {
        last.unit.places.push(place)
        last.unit.rows.push(change.rows)
        last.size += size
        continue
      }
      const unit = { is: change.is, table: change.table, places: [place], rows: [change.rows] }
      open.set(change.table, { unit, size })
      units.push(unit)
    } else if (change.is === 'update' || change.is === 'delete') {
      open = new Map()
      units.push({ is: 'single', place, work })
    } else {
      end()
      transactions.push([{ is: 'single', place, work }])
    }
  }
  end()
  return transactions
}

/** The intents of a unit as units of their own. */
export function singly(unit: Unit): Unit[] {
  if (unit.is === 'single') return [unit]
  const { is, table } = unit
  return unit.places.map((place, index) => ({ is, table, places: [place], rows: [unit.rows[index] ?? []] }))
}

export const placesOf = (unit: Unit): readonly number[] => (unit.is === 'single' ? [unit.place] : unit.places)
