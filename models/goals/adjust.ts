import { type FunctionContext, type Row, refuse, type Sql, TeatreeError } from 'teatree'
import { fromCents, toCents, units, wholeNumber } from './amounts.ts'
import { DIMENSION_ORDER } from './dimensions.ts'
import { recordRun } from './runs.ts'
import { spread } from './spread.ts'

export interface AdjustGoals {
  readonly where: unknown
  readonly total: string
  readonly spread: 'PROPORTIONAL' | 'EVEN'
  readonly keepTotal: boolean
  readonly lock: boolean
}

/** Refuses what no data could make right. */
export function checkAdjustGoals({ total }: AdjustGoals): void {
  if (units(total, 2) < 0n) refuse('total', `${total} is below 0`)
}

/** Gives the selected goals a new total, to the cent; the locked ones among them keep their amount. */
export async function adjustGoals(context: FunctionContext<AdjustGoals>): Promise<Row> {
  const { args, sql } = context
  const cells = await context.step('select', () => select(context))

  const total = units(args.total, 2)
  const before = await sumOf(sql, 'chosen')
  const locked = await sumOf(sql, 'chosen AND locked')
  const weight = args.spread === 'EVEN' ? '1::HUGEINT' : 'greatest(0, cents)'
  await context.step('spread', () => share(sql, 'chosen AND NOT locked', weight, total - locked))
  if (args.keepTotal && total !== before) {
    // What the others have is their weight, so that one below 0 has no part in it; and to add to each its share of the
    // opposite difference, rounded down, is to share out anew what they come to with it.
    const others = 'NOT chosen AND NOT locked AND cents >= 0'
    const left = (await sumOf(sql, others)) - (total - before)
    await context.step('keep total', () => share(sql, others, 'cents', left))
  }
  if (args.lock) {
    await sql.run(`UPDATE goals SET locked = true FROM selection
      WHERE goals.rowid = selection.id AND chosen AND NOT goals.locked`)
  }
  await sql.run('DROP TABLE selection')

  await recordRun(context, { cells, total: args.total })
  return { cells, total: args.total }
}

/**
 * The goals as they were before anything changes, since `where` may well ask for amounts and locks.
 *
 *   selection (id, place, chosen, locked, cents)   id: the row; place: settles ties; only with keepTotal those outside
 *
 * @returns how many are chosen
 * @throws TeatreeError NO_BASIS where none is
 */
async function select({ args, sql, where }: FunctionContext<AdjustGoals>): Promise<string> {
  const { text, params } = where('goals', args.where)
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE selection AS
       SELECT rowid AS id, row_number() OVER (ORDER BY period, ${DIMENSION_ORDER}) AS place,
         ${text} IS TRUE AS chosen, locked, ${toCents('goalAmount')} AS cents
       FROM goals ${args.keepTotal ? '' : `WHERE ${text}`}`,
    params,
  )
  const chosen = await wholeNumber(sql, 'SELECT count(*) FROM selection WHERE chosen')
  if (chosen === 0n) throw nothingSelected()
  return String(chosen)
}

export const nothingSelected = () => new TeatreeError('NO_BASIS', 'where selects no goals')

/** @throws TeatreeError GOALS_LOCKED, NO_BASIS where cents cannot be shared out among so many cells of that weight in all */
export function refuseToShare({ cells, weights, cents }: { cells: bigint; weights: bigint; cents: bigint }): void {
  if (cells === 0n) {
    throw new TeatreeError('GOALS_LOCKED', 'there are no unlocked goals to take up the difference; unlock some')
  }
  if (cents < 0n) {
    throw new TeatreeError('GOALS_LOCKED', 'the unlocked goals that take up the difference would fall below 0')
  }
  if (weights === 0n) {
    throw new TeatreeError('NO_BASIS', 'the goals to be changed are all 0.00; spread the total EVEN')
  }
}

const sumOf = (sql: Sql, which: string): Promise<bigint> =>
  wholeNumber(sql, `SELECT sum(cents) FROM selection WHERE ${which}`)

/**
 * Shares out cents among some of the selection.
 * @throws TeatreeError GOALS_LOCKED where that would be among none, or below 0; NO_BASIS where all weights are 0
 */
async function share(sql: Sql, which: string, weight: string, cents: bigint): Promise<void> {
  const among = `(SELECT id, place, ${weight} AS weight FROM selection WHERE ${which})`
  const [found, weights] = [`SELECT count(*) FROM ${among}`, `SELECT sum(weight) FROM ${among}`]
  refuseToShare({ cells: await wholeNumber(sql, found), weights: await wholeNumber(sql, weights), cents })
  await spread(sql, among, 'changed', cents)
  await sql.run(`
    UPDATE goals SET goalAmount = ${fromCents('cents')} FROM changed
    WHERE goals.rowid = changed.id AND goals.goalAmount <> ${fromCents('cents')};
    DROP TABLE changed`)
}
