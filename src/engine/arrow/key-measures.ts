import { keyHash, shareOfKeys } from './key-filter.ts'
import { type Extent, extentOf, HASHES, joinedRanges, type KeyedTable, type KeyRanges, looked } from './key-ranges.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** How many rows a frame has, between what their keys lie, and how many different ones there are. */
export interface Measured extends Extent {
  keys: number
}

/** Of more keys hashes are told apart one share after the other: Polars does not spill. */
const HASHES_AT_ONCE = 1 << 21
/** Of a file, Polars takes so many rows into memory at once: what is not streamed it does not map. */
const ROWS_AT_ONCE = 1 << 18

/**
 * Keys with different hashes are different. Where two are equal so may the keys be: that costs three times as much to find out.
 * @param rows how many the frame has, where there may be many, and it is in files as it is
 */
export async function measure(table: KeyedTable, frame: LazyDataFrame, rows = 0): Promise<Measured> {
  const key = pl.struct(table.key.map(name => pl.col(name)))
  if (rows > ROWS_AT_ONCE) {
    const ranges = await rangesOf(table, frame, rows)
    return { rows, ranges, keys: (await hashesDiffer(table, frame, rows)) ? rows : await differentKeys(frame, key) }
  }
  const hashes = key.hash().nUnique().cast(pl.Int32).alias(HASHES.name)
  const { extent, row } = await looked(table, frame, [hashes])
  const keys = Number(row[HASHES.name]) === extent.rows ? extent.rows : await differentKeys(frame, key)
  return { ...extent, keys }
}

async function rangesOf(table: KeyedTable, frame: LazyDataFrame, rows: number): Promise<KeyRanges> {
  const ranges: KeyRanges[] = []
  for (const part of partsOf(frame, rows)) ranges.push((await extentOf(table, part)).ranges)
  return joinedRanges(table, ranges)
}

/** Whether all rows have keys of different hashes. */
async function hashesDiffer(table: KeyedTable, frame: LazyDataFrame, rows: number): Promise<boolean> {
  const shares = Math.ceil(rows / HASHES_AT_ONCE)
  const hash = keyHash(table).alias(HASHES.name)
  for (let share = 0; share < shares; share++) {
    const isOfShare = shareOfKeys(table, share, shares)
    const hashes: LazyDataFrame[] = []
    let found = 0
    for (const part of partsOf(frame, rows)) {
      const some = await (shares > 1 ? part.filter(isOfShare) : part).select(hash).collect()
      found += some.height
      hashes.push(some.lazy())
    }
    const different = pl.concat(hashes).select(pl.col(HASHES.name).nUnique().cast(pl.Int32).alias(HASHES.name))
    if (Number((await different.collect()).toRecords()[0]?.[HASHES.name]) < found) return false
  }
  return true
}

function* partsOf(frame: LazyDataFrame, rows: number): Generator<LazyDataFrame> {
  for (let from = 0; from < rows; from += ROWS_AT_ONCE) yield frame.slice(from, ROWS_AT_ONCE)
}

async function differentKeys(frame: LazyDataFrame, key: Expr): Promise<number> {
  const found = await frame.select(key.nUnique().cast(pl.Int32).alias('keys')).collect()
  return Number(found.toRecords()[0]?.keys)
}
