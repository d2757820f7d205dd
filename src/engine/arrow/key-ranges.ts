import type { Column, Table } from '../../kinds/kind.ts'
import { type LogicalType, type Row, type TypeName, typeName } from '../../kinds/types.ts'
import { compareUtf8 } from '../../kinds/values.ts'
import { leaving, rowsOf } from './columns.ts'
import type { RangeValue, TableFile } from './manifest.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** What of a table its files are written by. */
export type KeyedTable = Pick<Table, 'name' | 'columns' | 'key'>

export type KeyRanges = NonNullable<TableFile['ranges']>

/** Longer texts are not worth their place in every manifest. */
const MAX_TEXT = 64

/**
 * How many rows a frame has, and between what the values of its key columns lie, by which most files of a table need not be
 * looked at when keys are looked for.
 */
export interface Extent {
  rows: number
  ranges: KeyRanges
}

/** What is found of a frame in which no key is twice, or need not be told. */
export const extentOf = async (table: KeyedTable, frame: LazyDataFrame): Promise<Extent> =>
  (await looked(table, frame, [])).extent

/** The extent, and besides it a row of what more is asked for; HASHES names the one column of that. */
export async function looked(
  table: KeyedTable,
  frame: LazyDataFrame,
  more: readonly Expr[],
): Promise<{ extent: Extent; row: Row }> {
  const columns = keyColumns(table).filter(({ nullable }) => !nullable)
  const ends = columns.flatMap(({ name, type }) => [
    { name: `least ${name}`, type },
    { name: `most ${name}`, type },
  ])
  const found = await frame
    .select(
      pl.len().cast(pl.Int32).alias(ROWS.name),
      ...more,
      ...columns.flatMap(({ name }) => [
        pl.col(name).min().alias(`least ${name}`),
        pl.col(name).max().alias(`most ${name}`),
      ]),
    )
    .select(leaving([ROWS, ...(more.length > 0 ? [HASHES] : []), ...ends]))
    .collect()
  const [row = {}] = rowsOf(found)
  const ranges: Record<string, [RangeValue, RangeValue]> = {}
  for (const { name } of columns) {
    const [least, most] = [row[`least ${name}`] ?? null, row[`most ${name}`] ?? null]
    if (least !== null && most !== null && `${least}${most}`.length <= MAX_TEXT) ranges[name] = [least, most]
  }
  return { extent: { rows: Number(row[ROWS.name]), ranges }, row }
}

/** No column of a kind has a space in its name. */
const ROWS = { name: 'rows of all', type: 'INTEGER' } as const
export const HASHES = { name: 'hashes of all', type: 'INTEGER' } as const

/** Between what the keys of all lie; of a column of which one of them does not say it, nothing is known. */
export function joinedRanges(table: KeyedTable, [first, ...others]: readonly (KeyRanges | undefined)[]): KeyRanges {
  const ranges: Record<string, readonly [RangeValue, RangeValue]> = { ...first }
  for (const { name, type } of keyColumns(table)) {
    for (const other of others) {
      const [one, two] = [ranges[name], other?.[name]]
      if (one && two) ranges[name] = [least(type, one[0], two[0]), most(type, one[1], two[1])]
      else delete ranges[name]
    }
  }
  return ranges
}

const least = (type: LogicalType, a: RangeValue, b: RangeValue): RangeValue => (orderOf(type)(a, b) <= 0 ? a : b)
const most = (type: LogicalType, a: RangeValue, b: RangeValue): RangeValue => (orderOf(type)(a, b) >= 0 ? a : b)

/** Whether a key may lie within both. */
export const mayMeet = (table: KeyedTable, a: KeyRanges = {}, b: KeyRanges = {}): boolean =>
  keyColumns(table).every(({ name, type }) => {
    const [one, other] = [a[name], b[name]]
    if (!one || !other) return true
    const compare = orderOf(type)
    return compare(one[0], other[1]) <= 0 && compare(other[0], one[1]) <= 0
  })

export const keyColumns = (table: KeyedTable): Column[] =>
  table.key.flatMap(name => {
    const column = table.columns.get(name)
    return column ? [column] : []
  })

type Order = (a: RangeValue, b: RangeValue) => number
const byOrder: Order = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
const byWholeNumber: Order = (a, b) => {
  const difference = wholeNumber(a) - wholeNumber(b)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}
/** Decimals of one column have the same scale. */
const wholeNumber = (text: RangeValue): bigint => BigInt(String(text).replace('.', ''))

/** The order of a column's canonical values. */
export const orderOf = (type: LogicalType): Order => ORDERS[typeName(type)] ?? byOrder

const ORDERS: Partial<Record<TypeName, Order>> = {
  VARCHAR: (a, b) => compareUtf8(String(a), String(b)),
  BIGINT: byWholeNumber,
  DECIMAL: byWholeNumber,
}
