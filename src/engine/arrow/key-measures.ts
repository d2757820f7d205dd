import { keyHash, shareOfKeys } from './key-filter.ts'
import { type Extent, extentOf, HASHES, type KeyedTable, looked } from './key-ranges.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** How many rows a frame has, between what their keys lie, and how many different ones there are. */
export interface Measured extends Extent {
  keys: number
}

/** Of more keys hashes are told apart one share after the other: Polars does not spill. */
const HASHES_AT_ONCE = 1 << 22
/** Of so many rows hashes are made at once. */
const HASHED_AT_ONCE = 1 << 20

/**
 * Keys with different hashes are different. Where two are equal so may the keys be: that costs three times as much to find out.
 * @param rows how many the frame has, where there may be many, and it is in files as it is
 */
export async function measure(table: KeyedTable, frame: LazyDataFrame, rows = 0): Promise<Measured> {
  const key = pl.struct(table.key.map(name => pl.col(name)))
  if (rows > HASHES_AT_ONCE) {
    const extent = await extentOf(table, frame)
    return { ...extent, keys: (await hashesDiffer(table, frame, rows)) ? rows : await differentKeys(frame, key) }
  }
  const hashes = key.hash().nUnique().cast(pl.Int32).alias(HASHES.name)
  const { extent, row } = await looked(table, frame, [hashes])
  const keys = Number(row[HASHES.name]) === extent.rows ? extent.rows : await differentKeys(frame, key)
  return { ...extent, keys }
}

/** Whether all rows have keys of different hashes. */
async function hashesDiffer(table: KeyedTable, frame: LazyDataFrame, rows: number): Promise<boolean> {
  const shares = Math.ceil(rows / HASHES_AT_ONCE)
  for (let share = 0; share < shares; share++) {
    const hashes: LazyDataFrame[] = []
    let found = 0
    for (let from = 0; from < rows; from += HASHED_AT_ONCE) {
      const some = await hashesOf(table, frame.slice(from, HASHED_AT_ONCE), share, shares).collect()
      found += some.height
      hashes.push(some.lazy())
    }
    const different = pl.concat(hashes).select(pl.col(HASHES.name).nUnique().cast(pl.Int32).alias(HASHES.name))
    if (Number((await different.collect()).toRecords()[0]?.[HASHES.name]) < found) return false
  }
  return true
}

const hashesOf = (table: KeyedTable, frame: LazyDataFrame, share: number, shares: number): LazyDataFrame =>
  frame.filter(shareOfKeys(table, share, shares)).select(keyHash(table).alias(HASHES.name))

async function differentKeys(frame: LazyDataFrame, key: Expr): Promise<number> {
  const found = await frame.select(key.nUnique().cast(pl.Int32).alias('keys')).collect()
  return Number(found.toRecords()[0]?.keys)
}
