import type { Expr, FrameAnswer, FrameQueryContext, LazyDataFrame } from 'teatree'
import { type Attainment, asked } from '../attainment.ts'
import { DIMENSIONS } from '../dimensions.ts'
import { beginning } from '../intervals.ts'
import { DIMENSION_COLUMNS, within } from './frames.ts'
import { readPlans } from './runs.ts'

const KEY = ['period', ...DIMENSION_COLUMNS]

/** The full outer join of goals and actuals, as one sum over the rows of both: nulls are equal in it, as in the keys. */
export async function attainment(context: FrameQueryContext<Attainment>): Promise<FrameAnswer> {
  const { args, pl, frame, table } = context
  const runs = await table('runs', ['at', 'function', 'salesModel', 'salesVersion', 'arguments'])
  const { from, to, salesVersion } = asked(args, await readPlans(context, runs))
  const by: string[] = Object.entries(DIMENSIONS).flatMap(([dimension, column]) =>
    args.by?.some(one => one === dimension) ? [column] : [],
  )
  const nothing = (places: number): Expr => pl.lit(0).cast(pl.Decimal(38, places))
  const dimensions = DIMENSION_COLUMNS.map(column =>
    by.includes(column) ? pl.col(column) : pl.lit(null).cast(pl.Utf8).alias(column),
  )
  const amounts = async (name: string, amount: string, sums: readonly [goal: Expr, actual: Expr]) => {
    const cells = (await table(name, ['period', ...by, amount])).filter(within(pl, 'period', { from, to }))
    const at = await withIntervals(context, cells)
    const [goal, actual] = sums
    return at.select(
      pl.col('interval').alias('period'),
      ...dimensions,
      goal.alias('goalAmount'),
      actual.alias('actualAmount'),
    )
  }
  const parts = [
    await amounts('goals', 'goalAmount', [pl.col('goalAmount').cast(pl.Decimal(38, 2)), nothing(4)]),
    await amounts('actuals', 'amount', [nothing(2), pl.col('amount').cast(pl.Decimal(38, 4))]),
  ]
  // whoever asks for one row gets it, also where there are no cells
  if (!args.interval && !args.by?.length) {
    const columns = { period: 'DATE', ...TEXTS, goalAmount: 'DECIMAL(38,2)', actualAmount: 'DECIMAL(38,4)' } as const
    parts.push(frame(columns, [{ goalAmount: '0.00', actualAmount: '0.0000' }]))
  }
  const sums = pl.concat(parts).groupBy(KEY).agg(pl.col('goalAmount').sum(), pl.col('actualAmount').sum())
  const [goal, actual] = [pl.col('goalAmount').cast(pl.Float64), pl.col('actualAmount').cast(pl.Float64)]
  const ratio = pl
    .when(goal.neq(pl.lit(0)))
    .then(actual.div(goal))
    .otherwise(pl.lit(null))
    .alias('ratio')
  return { frame: sums.withColumns(ratio), orderBy: KEY, page: { salesVersion } }
}

const TEXTS = Object.fromEntries(DIMENSION_COLUMNS.map(name => [name, 'VARCHAR'])) as Record<string, 'VARCHAR'>

/** The cells with the first day of the interval that is asked for, of which there are few, or null. */
async function withIntervals(
  { args: { interval }, pl, rows, frame }: FrameQueryContext<Attainment>,
  cells: LazyDataFrame,
): Promise<LazyDataFrame> {
  if (!interval) return cells.withColumns(pl.lit(null).cast(pl.Date).alias('interval'))
  const days = (await rows(cells.select(pl.col('period')).unique())).map(({ period }) => String(period))
  const intervals = days.map(period => ({ period, interval: beginning(period, interval) }))
  return cells.join(frame({ period: 'DATE', interval: 'DATE' }, intervals), { on: 'period', how: 'left' })
}
