import { type FunctionContext, type Row, type Sql, TeatreeError } from 'teatree'
import { toCents, wholeNumber } from './amounts.ts'
import type { Outline } from './forecast.ts'
import type { Period } from './intervals.ts'
import { type Plan, planAt, recordRun, sameCells } from './runs.ts'

/** Locks or unlocks the cells that `where` selects. */
export async function lockGoals(context: FunctionContext<{ where: unknown; locked: boolean }>): Promise<Row> {
  const { args, sql } = context
  const { text, params } = context.where('goals', args.where)
  const [row] = await sql.all(`SELECT count(*) AS cells FROM goals WHERE ${text}`, params)
  const cells = String(row?.cells)
  await context.step('lock', () =>
    context.update('goals', {
      set: { locked: '$locked' },
      where: `${text} AND locked <> $locked`,
      params: { ...params, locked: args.locked },
    }),
  )
  await recordRun(context, { cells })
  return { cells }
}

/**
 * Refuses to compute goals over locked cells of another grain or interval, which could not stay as they are.
 * @param reach the goal period, and what of earlier goals reaches into it
 * @throws TeatreeError GOALS_LOCKED
 */
export async function refuseForeignLocks(
  sql: Sql,
  plans: readonly Plan[],
  outline: Outline,
  reach: Period,
): Promise<void> {
  const days = await sql.all(
    'SELECT DISTINCT period FROM goals WHERE locked AND period >= $from::DATE AND period < $to::DATE ORDER BY period',
    { from: reach.from, to: reach.to },
  )
  refuseForeignDays(
    days.map(({ period }) => String(period)),
    plans,
    outline,
  )
}

/** The same of the days that there are locked cells of, in their order. @throws TeatreeError GOALS_LOCKED */
export function refuseForeignDays(days: readonly string[], plans: readonly Plan[], outline: Outline): void {
  for (const period of days) {
    const plan = planAt(plans, period)
    if (plan && sameCells(plan, outline)) continue
    const found = plan ? `by ${plan.interval} at the grain [${plan.grain.join(', ')}]` : 'of another grain or interval'
    throw new TeatreeError('GOALS_LOCKED', `from ${period} on there are locked goals ${found}; unlock them first`)
  }
}

/** What the locked cells of a period add up to, in cents. */
export async function lockedCents(sql: Sql, period: Period): Promise<bigint> {
  return await wholeNumber(
    sql,
    `SELECT ${toCents('sum(goalAmount)')} FROM goals
     WHERE locked AND period >= $from::DATE AND period < $to::DATE`,
    { from: period.from, to: period.to },
  )
}
