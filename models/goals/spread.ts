import { type Sql, TeatreeError } from 'teatree'
import { refuseTooLarge, wholeNumber } from './amounts.ts'

/** Refuses a total that cannot be shared out in proportion to weights of that sum. @throws TeatreeError NO_BASIS, BAD_VALUE */
export function refuseUnshared(weights: bigint, total: bigint): void {
  if (weights === 0n && total > 0n) {
    throw new TeatreeError('NO_BASIS', 'there is a total to share out, and every cell has a weight of 0')
  }
  if (total >= 10n ** 20n) throw new TeatreeError('BAD_VALUE', 'the cells to be shared out add up to too many digits')
}

/**
 * Step 4: shares out a total among the rows of a table in proportion to their weights. Every share is rounded down to
 * the cent, and the cents that remain go one each to the rows with the largest remainders, so that the shares add up
 * to the total exactly.
 *
 * Since total × weight = share × Σweights + remainder, all in whole numbers, the remainders compare exactly.
 * Bound: a weight is below 10^18 and the total is held below 10^20, so that their product is below 10^38.
 * @param from a table with `weight`, a HUGEINT of at least 0, and `place`, which tells its rows apart and settles ties
 * @param into the temporary table to make: `from` with a HUGEINT of `cents` more, and without `weight`
 * @param total in cents, at least 0
 * @throws TeatreeError NO_BASIS where there is something to share and all weights are 0
 */
export async function spread(sql: Sql, from: string, into: string, total: bigint): Promise<void> {
  const weights = await wholeNumber(sql, `SELECT sum(weight) FROM ${from}`)
  refuseUnshared(weights, total)
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE shares AS
       SELECT * EXCLUDE (product), product - cents * $weights::HUGEINT AS remainder
       FROM (SELECT *, product // $weights::HUGEINT AS cents
         FROM (SELECT *, weight * $total::HUGEINT AS product FROM ${from}))`,
    { weights: String(weights || 1n), total: String(total) },
  )
  const left = total - (await wholeNumber(sql, 'SELECT sum(cents) FROM shares'))
  // a top-N, which sorts what it keeps; a window function over all rows would take twenty times as long
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE ${into} AS
       SELECT * EXCLUDE (cents, weight, remainder), cents + (place IN (
         SELECT place FROM shares WHERE remainder > 0 ORDER BY remainder DESC, place LIMIT $left::BIGINT
       ))::INTEGER AS cents
       FROM shares;
     DROP TABLE temp.shares`,
    { left: String(left) },
  )
  await refuseTooLarge(sql, `SELECT max(cents) FROM ${into}`)
}
