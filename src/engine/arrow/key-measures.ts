import { asHash, KEYS_AT_ONCE, keyHash, keyStruct, shareOf } from './key-filter.ts'
import { type Extent, extentOf, HASHES, joinedRanges, type KeyedTable, type KeyRanges, looked } from './key-ranges.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'
import type { Compute, Computed } from './streamed-frames.ts'

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
 * @param written how many rows the frame has, where there may be many, and it is in files as it is; their hashes go into another
 */
export async function measure(
  table: KeyedTable,
  frame: LazyDataFrame,
  written?: { rows: number; compute: Compute },
): Promise<Measured> {
  if (written && written.rows > ROWS_AT_ONCE) {
    const { rows, compute } = written
    const ranges = await rangesOf(table, frame, rows)
    const hashes = await compute(frame.select(asHash(keyHash(table)).alias(HASHES.name)))
    return { rows, ranges, keys: (await areDifferent(hashes)) ? rows : await differentKeys(table, frame, rows) }
  }
  const hashes = keyStruct(table).hash().nUnique().cast(pl.Int32).alias(HASHES.name)
  const { extent, row } = await looked(table, frame, [hashes])
  const keys = Number(row[HASHES.name]) === extent.rows ? extent.rows : await differentKeys(table, frame, extent.rows)
  return { ...extent, keys }
}

async function rangesOf(table: KeyedTable, frame: LazyDataFrame, rows: number): Promise<KeyRanges> {
  const ranges: KeyRanges[] = []
  for (const part of partsOf(frame, rows)) ranges.push((await extentOf(table, part)).ranges)
  return joinedRanges(table, ranges)
}

/** Whether all of so many hashes are. */
async function areDifferent({ frame, rows }: Computed): Promise<boolean> {
  const hash = pl.col(HASHES.name)
  const count = [pl.len().cast(pl.Int32).alias('all'), hash.nUnique().cast(pl.Int32).alias('different')]
  const shares = { count: Math.ceil(rows / HASHES_AT_ONCE), of: hash }
  for await (const { rows: share } of sharesOf(frame, { rows, columns: [hash], shares })) {
    const [found] = (await share.select(...count).collect()).toRecords()
    if (Number(found?.different) < Number(found?.all)) return false
  }
  return true
}

async function differentKeys(table: KeyedTable, frame: LazyDataFrame, rows: number): Promise<number> {
  const different = keyStruct(table).nUnique().cast(pl.Int32).alias('keys')
  let keys = 0
  for await (const { rows: share } of sharesByKey(table, { rows: frame, measured: { rows } }))
    keys += Number((await share.select(different).collect()).toRecords()[0]?.keys)
  return keys
}

/** Rows of some of the keys: all that there are of each, in their order. */
export interface KeyShare {
  /** Which of them it is, from 0. */
  share: number
  rows: LazyDataFrame
}

/** The keys of rows that have been measured, and the columns that are named besides, one share after the other. */
export const sharesByKey = (
  table: KeyedTable,
  { rows, measured }: { rows: LazyDataFrame; measured: Pick<Measured, 'rows'> },
  more: readonly string[] = [],
): AsyncGenerator<KeyShare> => {
  const columns = [...table.key, ...more].map(name => pl.col(name))
  const shares = { count: Math.ceil(measured.rows / KEYS_AT_ONCE), of: keyHash(table) }
  return sharesOf(rows, { rows: measured.rows, columns, shares })
}

/** Rows whose hashes, `shares.of`, have the same remainder are of the same share. */
async function* sharesOf(
  frame: LazyDataFrame,
  { rows, columns, shares }: { rows: number; columns: readonly Expr[]; shares: { count: number; of: Expr } },
): AsyncGenerator<KeyShare> {
  if (rows <= ROWS_AT_ONCE) yield { share: 0, rows: frame.select(...columns) }
  else
    for (let share = 0; share < shares.count; share++) {
      const isOfShare = shareOf(shares.of, share, shares.count)
      const found: LazyDataFrame[] = []
      for (const part of partsOf(frame, rows))
        found.push((await (shares.count > 1 ? part.filter(isOfShare) : part).select(...columns).collect()).lazy())
      yield { share, rows: pl.concat(found) }
    }
}

function* partsOf(frame: LazyDataFrame, rows: number): Generator<LazyDataFrame> {
  for (let from = 0; from < rows; from += ROWS_AT_ONCE) yield frame.slice(from, ROWS_AT_ONCE)
}
