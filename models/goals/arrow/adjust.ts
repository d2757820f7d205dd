import type { FrameFunctionContext, Row } from 'teatree'
import { type AdjustGoals, nothingSelected, refuseToShare } from '../adjust.ts'
import { units } from '../amounts.ts'
import { decimal, positive, sum } from './amounts.ts'
import { combinationOf, GOAL_COLUMNS, inOrder } from './frames.ts'
import { recordRun } from './runs.ts'
import { spread } from './spread.ts'

/** A goal as it was, and its cents as they are to be. */
interface Cell {
  row: Row
  before: bigint
  cents: bigint
}

/** Gives the selected goals a new total, to the cent; the locked ones among them keep their amount. */
export async function adjustGoals(context: FrameFunctionContext<AdjustGoals>): Promise<Row> {
  const { args, pl, rows, step, table, where } = context
  const read = async (frame: ReturnType<typeof table>): Promise<Cell[]> =>
    (await rows(inOrder(pl, frame, 'period'))).map(row => {
      const before = units(String(row.goalAmount), 2)
      return { row, before, cents: before }
    })
  const chosen = await step('select', () => read(where('goals', args.where)))
  if (chosen.length === 0) throw nothingSelected()

  const total = units(args.total, 2)
  const before = centsOf(chosen)
  const unlocked = chosen.filter(({ row }) => row.locked === false)
  const locked = before - centsOf(unlocked)
  const weight = args.spread === 'EVEN' ? () => 1n : ({ before }: Cell) => positive(before)
  await step('spread', () => share(unlocked, weight, total - locked))
  const others: Cell[] = []
  if (args.keepTotal && total !== before) {
    const selected = new Set(chosen.map(({ row }) => keyOf(row)))
    // What the others have is their weight, so that one below 0 has no part in it.
    const all = await read(table('goals'))
    others.push(...all.filter(cell => !selected.has(keyOf(cell.row)) && cell.row.locked === false && cell.before >= 0n))
    const left = centsOf(others) - (total - before)
    await step('keep total', () => share(others, ({ before }) => before, left))
  }
  const changed = [...chosen.map(cell => changedRow(cell, args.lock)), ...others.map(cell => changedRow(cell, false))]
  await context.upsert('goals', context.frame(GOAL_COLUMNS, changed.flat()))

  const cells = String(chosen.length)
  await recordRun(context, { cells, total: args.total })
  return { cells, total: args.total }
}

/** The cell's row as it is to be; none where nothing of it changes. */
function changedRow({ row, before, cents }: Cell, lock: boolean): Row[] {
  const locked = lock || row.locked === true
  return cents === before && locked === row.locked ? [] : [{ ...row, goalAmount: decimal(cents, 2), locked }]
}

const keyOf = (row: Row): string => `${row.period} ${combinationOf(row)}`
const centsOf = (cells: readonly Cell[]): bigint => sum(cells.map(({ before }) => before))

/** Shares out cents among the cells. @throws TeatreeError GOALS_LOCKED, NO_BASIS */
async function share(cells: readonly Cell[], weight: (cell: Cell) => bigint, cents: bigint): Promise<void> {
  const weights = cells.map(weight)
  refuseToShare({ cells: BigInt(cells.length), weights: sum(weights), cents })
  const shares = spread(weights, cents)
  for (const [place, cell] of cells.entries()) cell.cents = shares[place] ?? 0n
}
