import { type FunctionContext, type Row, refuse, type Sql, TeatreeError } from 'teatree'
import { sumActuals, writeActuals } from './actuals.ts'
import { fromCents, fromTenThousandths, refuseTooLarge, scaled, toCents, units, wholeNumber } from './amounts.ts'
import { ALL_DIMENSIONS } from './dimensions.ts'
import { forecast, type Method, type Outline, sumBasis } from './forecast.ts'
import { beginning, intervalsBetween, isBorder, MONTHS, type Period } from './intervals.ts'
import { lockedCents, refuseForeignLocks } from './locks.ts'
import { type Plan, planAt, readPlans, recordRun } from './runs.ts'
import { spread } from './spread.ts'

export interface ComputeGoals extends Outline {
  readonly salesModel: string
  readonly salesVersion: number | null
  readonly method: Method
  readonly growth: string
  readonly total: string | null
}

/** A century of months: more is a slip of the keys. */
const MAX_INTERVALS = 1200

/** Refuses what no data could make right. */
export function checkComputeGoals({ basisPeriod, goalPeriod, interval, grain, growth, total }: ComputeGoals): void {
  for (const [path, { from, to }] of Object.entries({ basisPeriod, goalPeriod })) {
    for (const [border, date] of Object.entries({ from, to })) {
      if (isBorder(date, interval)) continue
      refuse(`${path}.${border}`, `${date} lies inside a ${interval}, which begins with ${beginning(date, interval)}`)
    }
    if (from >= to) refuse(path, `from ${from} is not before to ${to}; to is the first day after the period`)
    const count = intervalsBetween(from, to, interval)
    if (count > MAX_INTERVALS) refuse(path, `holds ${count} intervals; give at most ${MAX_INTERVALS}`)
  }
  if (new Set(grain).size < grain.length) refuse('grain', 'names a dimension twice; name each once')
  if (units(growth, 6) < -1_000_000n) refuse('growth', `${growth} is below -1; -1 takes everything away`)
  if (total !== null && units(total, 2) < 0n) refuse('total', `${total} is below 0`)
}

/** Computes the goals of the goal period, step by step, and the actuals beside them. */
export async function computeGoals(context: FunctionContext<ComputeGoals>): Promise<Row> {
  const { args, sql } = context
  const sales = context.reads.find(({ alias }) => alias === 'salesModel')
  if (!sales) throw new Error('the sales model is not attached')
  const plans = await readPlans(sql)
  const reach = reachOf(plans, args.goalPeriod)
  await refuseForeignLocks(sql, plans, args, reach)

  await context.step('basis', () => sumBasis(sql, sales, args))
  await context.step('forecast', () => forecast(sql, args, args.method))
  const { growth, total } = args
  if (total === null) await context.step('growth', () => grow(sql, growth))
  else await context.step('spread', () => meet(sql, units(total, 2), growth, args.goalPeriod))
  await context.step('actuals', () => sumActuals(sql, sales, args))
  await context.step('write', async () => {
    await writeGoals(sql, args, reach)
    await writeActuals(sql, args.goalPeriod)
  })

  const outcome = await countGoals(sql, args.goalPeriod)
  await recordRun(context, { ...outcome, salesModel: sales.model, salesVersion: sales.version })
  return { ...outcome, salesVersion: sales.version }
}

/** The goal period, and before it the rest of an interval that an earlier, coarser goal reaches into it with. */
export function reachOf(plans: readonly Plan[], { from, to }: Period): Period {
  const plan = planAt(plans, from)
  const begun = plan ? beginning(from, plan.interval) : from
  return { from: planAt(plans, begun) === plan ? begun : from, to }
}

/**
 * Step 3, without a total: the forecasts times 1 + growth, rounded to the cent, as they are read. Bound: 10^18 × 10^18; the largest
 * goal comes of the largest forecast.
 */
async function grow(sql: Sql, growth: string): Promise<void> {
  const cents = scaled('basis', 1_000_000n + units(growth, 6))
  await sql.run(`CREATE OR REPLACE TEMP VIEW goal_cells AS SELECT *, ${cents} AS cents FROM cells`)
  await refuseTooLarge(sql, `SELECT ${cents} FROM (SELECT max(abs(basis)) AS basis FROM cells)`)
}

/**
 * Steps 3 and 4, with a total: the unlocked cells share what the locked ones leave of it. 1 + growth is a factor of
 * every weight alike and so cancels out, unless it is 0.
 */
async function meet(sql: Sql, total: bigint, growth: string, goalPeriod: Period): Promise<void> {
  const rest = total - (await lockedCents(sql, goalPeriod))
  refuseUnmet(rest, await wholeNumber(sql, 'SELECT count(*) FROM cells'))
  const weight = units(growth, 6) === -1_000_000n ? '0::HUGEINT' : 'greatest(0, basis)'
  const place = 'number * (SELECT count(*) FROM combinations) + combination'
  await spread(sql, `(SELECT *, ${place} AS place, ${weight} AS weight FROM cells)`, 'goal_cells', rest)
  await sql.run('DROP TABLE temp.cells')
}

/** Refuses a total of which the locked goals leave what the others cannot take up. @throws TeatreeError GOALS_LOCKED */
export function refuseUnmet(rest: bigint, cells: bigint): void {
  if (rest < 0n) throw new TeatreeError('GOALS_LOCKED', 'the locked goals alone exceed total; unlock some, or raise it')
  if (rest > 0n && cells === 0n) {
    throw new TeatreeError('GOALS_LOCKED', 'all goals are locked and fall short of total; unlock some, or lower it')
  }
}

/** Replaces the goals that are not locked. */
async function writeGoals(sql: Sql, { basisPeriod, goalPeriod, interval }: Outline, reach: Period): Promise<void> {
  await sql.run(
    `DELETE FROM goals WHERE period >= $reachFrom::DATE AND period < $to::DATE AND NOT locked;
     DELETE FROM actuals WHERE period >= $reachFrom::DATE AND period < $from::DATE;
     INSERT INTO goals (period, ${ALL_DIMENSIONS}, basisAmount, goalAmount, locked)
       SELECT ($basisFrom::DATE + to_months((number * ${MONTHS[interval]})::INTEGER))::DATE, ${ALL_DIMENSIONS},
         ${fromTenThousandths('basis')}, ${fromCents('cents')}, false
       FROM goal_cells JOIN combinations USING (combination)`,
    { reachFrom: reach.from, from: goalPeriod.from, to: goalPeriod.to, basisFrom: basisPeriod.from },
  )
}

/**
 * The outcome, over all goals of the period, the locked ones too.
 * @throws TeatreeError BAD_VALUE where they add up to too many digits
 */
async function countGoals(sql: Sql, { from, to }: Period): Promise<{ cells: string; total: string }> {
  const period = 'goals WHERE period >= $from::DATE AND period < $to::DATE'
  await refuseTooLarge(sql, `SELECT ${toCents('sum(goalAmount)')} FROM ${period}`, { from, to })
  const [row] = await sql.all(
    `SELECT count(*) AS cells, coalesce(sum(goalAmount), 0)::DECIMAL(18,2) AS total FROM ${period}`,
    { from, to },
  )
  return { cells: String(row?.cells), total: String(row?.total) }
}
