import type { Expr, FrameTools, LazyDataFrame } from 'teatree'
import { refuseUnshared } from '../spread.ts'
import { quotient, unitsIn, whole } from './amounts.ts'

/**
 * Step 4, as spread.ts beside this folder has it: shares of a total in proportion to the weights, to the cent. The frame gets a
 * column `cents`.
 * @param weight of at least 0
 * @param total in cents, at least 0
 * @param places columns that tell the rows apart, and settle ties: ascending, nulls first
 * @throws TeatreeError NO_BASIS, BAD_VALUE
 */
export async function spread(
  tools: FrameTools,
  frame: LazyDataFrame,
  { weight, total, places }: { weight: Expr; total: bigint; places: readonly string[] },
): Promise<LazyDataFrame> {
  const { pl } = tools
  const weights = await unitsIn(tools, frame, weight.sum(), 0)
  refuseUnshared(weights, total)
  const all = weights || 1n
  const product = pl.col('weight').mul(whole(pl, total))
  const order = places.map(name => pl.col(name))
  const shares = frame
    .withColumns(weight.alias('weight'))
    .withColumns(quotient(pl, product, all).alias('cents'))
    .withColumns(
      product.sub(pl.col('cents').mul(whole(pl, all))).alias('remainder'),
      whole(pl, total).sub(pl.col('cents').sum()).alias('left'),
    )
    .sort([pl.col('remainder'), ...order], [true, ...places.map(() => false)], false)
    .withRowIndex('rank')
  const isRaised = pl
    .col('rank')
    .cast(pl.Decimal(38, 0))
    .lt(pl.col('left'))
    .and(pl.col('remainder').gt(whole(pl, 0)))
  const cents = pl
    .when(isRaised)
    .then(pl.col('cents').add(whole(pl, 1)))
    .otherwise(pl.col('cents'))
    .cast(pl.Decimal(38, 0))
    .alias('cents')
  return shares.withColumns(cents).drop('weight', 'remainder', 'left', 'rank').sort(order, false, false)
}
