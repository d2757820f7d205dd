import type { Expr, FrameFunctionContext, LazyDataFrame, Row } from 'teatree'
import { type AdjustGoals, nothingSelected, refuseToShare } from '../adjust.ts'
import { refuseLarge, units } from '../amounts.ts'
import { fromUnits, largest, positive, toUnits, unitsIn, whole } from './amounts.ts'
import { CELL_KEY } from './frames.ts'
import { recordRun } from './runs.ts'
import { spread } from './spread.ts'

/** Gives the selected goals a new total, to the cent; the locked ones among them keep their amount. */
export async function adjustGoals(context: FrameFunctionContext<AdjustGoals>): Promise<Row> {
  const { args, pl, step, table, where } = context
  const before = toUnits(pl, pl.col('goalAmount'), 2)
  const centsOf = (goals: LazyDataFrame) => unitsIn(context, goals, pl.col('goalAmount').sum(), 2)
  const isUnlocked = pl.col('locked').not()
  const chosen = await step('select', () => where('goals', args.where))
  const cells = await unitsIn(context, chosen, pl.len(), 0)
  if (cells === 0n) throw nothingSelected()

  const total = units(args.total, 2)
  const sum = await centsOf(chosen)
  const unlocked = chosen.filter(isUnlocked)
  const weight = args.spread === 'EVEN' ? whole(pl, 1) : positive(pl, before)
  const locked = sum - (await centsOf(unlocked))
  const shared = [await step('spread', () => share(context, unlocked, weight, total - locked))]
  if (args.keepTotal && total !== sum) {
    // What the others have is their weight, so that one below 0 has no part in it.
    const others = table('goals')
      .join(chosen, { on: CELL_KEY, how: 'anti', nullsEqual: true })
      .filter(isUnlocked)
      .filter(before.gtEq(whole(pl, 0)))
    const left = (await centsOf(others)) - (total - sum)
    shared.push(await step('keep total', () => share(context, others, before, left)))
  }
  for (const goals of shared) refuseLarge(await largest(context, goals, 'cents'))
  const changed = shared.map((goals, place) => {
    const lock = args.lock && place === 0
    const amounts = lock ? goals : goals.filter(pl.col('cents').neq(before))
    return amounts
      .withColumns(fromUnits(pl, pl.col('cents'), 2).alias('goalAmount'), pl.lit(lock).alias('locked'))
      .drop('cents')
  })
  await context.upsert('goals', changed.length === 1 && changed[0] ? changed[0] : pl.concat(changed))

  await recordRun(context, { cells: String(cells), total: args.total })
  return { cells: String(cells), total: args.total }
}

/** Shares out cents among the goals, as a column. @throws TeatreeError GOALS_LOCKED, NO_BASIS */
async function share(
  context: FrameFunctionContext<AdjustGoals>,
  goals: LazyDataFrame,
  weight: Expr,
  cents: bigint,
): Promise<LazyDataFrame> {
  const { pl } = context
  const weighted = goals.withColumns(weight.alias('weighs'))
  const weights = await unitsIn(context, weighted, pl.col('weighs').sum(), 0)
  refuseToShare({ cells: await unitsIn(context, goals, pl.len(), 0), weights, cents })
  return (await spread(context, weighted, { weight: pl.col('weighs'), total: cents, places: CELL_KEY })).drop('weighs')
}
