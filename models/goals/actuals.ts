import type { FunctionContext, ReadModel, Row, Sql } from 'teatree'
import { refuseTooLarge, toTenThousandths } from './amounts.ts'
import { ALL_DIMENSIONS, dimensionsAt, sameDimensions } from './dimensions.ts'
import type { Outline } from './forecast.ts'
import type { Period } from './intervals.ts'
import { readPlans, recordRun } from './runs.ts'

/** Sums the sales of the last run's goal period anew; runs by itself on each version of the sales model. */
export async function refreshActuals(context: FunctionContext): Promise<Row> {
  const { sql } = context
  const [plan] = await readPlans(sql)
  const sales = context.reads.find(({ model }) => model === plan?.salesModel)
  // no goals yet, or their sales are no longer read: what there is stays as it is
  if (!plan || !sales) return { cells: '0', total: '0.0000', salesVersion: plan?.salesVersion ?? 0 }

  const outcome = await context.step('actuals', () => sumActuals(sql, sales, plan))
  await context.step('write', () => writeActuals(sql, plan.goalPeriod))
  // one row tells where the actuals are from: there would soon be as many as versions of the sales
  await sql.run(`DELETE FROM runs WHERE "function" = 'refreshActuals' AND "at" > $at::TIMESTAMP`, { at: plan.at })
  await recordRun(context, { salesModel: sales.model, salesVersion: sales.version, cells: outcome.cells })
  return { ...outcome, salesVersion: sales.version }
}

/** How many actuals the goal period has, and what they add up to, to four places. */
export interface ActualsSummed {
  cells: string
  total: string
}

/**
 * Sums the sales of the goal period.
 *
 *   sums (period, siteId …, amount)   of each interval by its first day
 *
 * @throws TeatreeError BAD_VALUE where a sum has too many digits
 */
export async function sumActuals(
  sql: Sql,
  sales: ReadModel,
  { goalPeriod, interval, grain }: Omit<Outline, 'basisPeriod'>,
): Promise<ActualsSummed> {
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE sums AS
       SELECT date_trunc('${interval}', date)::DATE AS period, ${dimensionsAt(grain)}, sum(amount) AS amount
       FROM ${sales.table('sales')} WHERE date >= $from::DATE AND date < $to::DATE GROUP BY ALL`,
    { from: goalPeriod.from, to: goalPeriod.to },
  )
  await refuseTooLarge(sql, `SELECT ${toTenThousandths('max(abs(amount))')} FROM sums`)
  const [outcome] = await sql.all(
    'SELECT count(*) AS cells, coalesce(sum(amount), 0)::DECIMAL(38,4) AS total FROM sums',
  )
  return { cells: String(outcome?.cells), total: String(outcome?.total) }
}

/**
 * Makes the actuals of the goal period those `sums`. Only rows that differ are touched: a few sales more make a version that is
 * little larger.
 */
export async function writeActuals(sql: Sql, { from, to }: Period): Promise<void> {
  await sql.run(
    `DELETE FROM actuals WHERE period >= $from::DATE AND period < $to::DATE AND NOT EXISTS (
       FROM sums WHERE sums.period = actuals.period AND sums.amount = actuals.amount AND ${sameDimensions('sums', 'actuals')}
     );
     INSERT INTO actuals (period, ${ALL_DIMENSIONS}, amount)
       SELECT period, ${ALL_DIMENSIONS}, amount::DECIMAL(18,4) FROM sums
       ANTI JOIN actuals ON sums.period = actuals.period AND ${sameDimensions('sums', 'actuals')}`,
    { from, to },
  )
}
