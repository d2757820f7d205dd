import type { Table } from '../../kinds/kind.ts'
import type { TeatreeError } from '../../platform/errors.ts'
import { MAX_CELLS } from '../../platform/errors.ts'
import { type Candidate, conflictsAmong } from '../key-conflicts.ts'
import { frameOf, leaving, rowsOf } from './columns.ts'
import { FILE_OF_ROW, placedFrame } from './frames.ts'
import { KEYS_AT_ONCE, keyHashes, keyStruct, shareOfKeys } from './key-filter.ts'
import { sharesByKey } from './key-measures.ts'
import { keyColumns, mayMeet } from './key-ranges.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import type { ScratchFile, ScratchFiles } from './scratch-files.ts'
import type { Stage } from './stage.ts'

/** How joins by key compare: nulls are equal, and rows keep their order. */
export const byKey = <How extends 'semi' | 'anti' | 'left'>(table: Table, how: How) => ({
  on: [...table.key],
  how,
  nullsEqual: true,
  maintainOrder: 'left' as const,
})

/** Keys that are in a table, each once, with the place of the file that holds it as FILE_OF_ROW. */
export interface KeysThere {
  rows: number
  keys: LazyDataFrame
  /** The same, as `sharesByKey` has the keys that were looked for. */
  shares: readonly LazyDataFrame[]
}

/**
 * The keys of the stage that are in the table, with places in `files`. Of the table nothing but the key is read, and of that only
 * the files in which it may be.
 */
export async function keysThere(
  scratch: ScratchFiles,
  table: Table,
  files: readonly ScratchFile[],
  stage: Stage,
): Promise<KeysThere> {
  const key = keyColumns(table)
  const candidates = await filesOfKeys(scratch, table, files, stage)
  const frame = placedFrame(key, candidates, name => scratch.path(name))
  if (!frame) return keysOf([{ rows: 0, keys: frameOf([...key, { name: FILE_OF_ROW, type: 'INTEGER' }], []).lazy() }])
  const wanted = stage.rows.select(table.key.map(name => pl.col(name)))
  const shares = Math.ceil(stage.measured.rows / KEYS_AT_ONCE)
  if (shares <= 1) {
    const found = await frame.join(wanted, byKey(table, 'semi')).collect()
    return keysOf([{ rows: found.height, keys: found.lazy() }])
  }
  // What is found is not in memory either.
  const found: Found[] = []
  const inNoOrder = { ...byKey(table, 'semi'), maintainOrder: 'none' } as const
  for (let share = 0; share < shares; share++) {
    const isOfShare = shareOfKeys(table, share, shares)
    found.push(await scratch.aside(frame.filter(isOfShare).join(wanted.filter(isOfShare), inNoOrder)))
  }
  return keysOf(found)
}

type Found = Omit<KeysThere, 'shares'>

function keysOf(found: readonly Found[]): KeysThere {
  const shares = found.map(({ keys }) => keys)
  const [first] = shares
  const keys = first && shares.length === 1 ? first : pl.concat(shares)
  return { rows: found.reduce((sum, { rows }) => sum + rows, 0), keys, shares }
}

/** For so many keys a file is rather read than a filter made of it. */
const MAX_FILTERED = 10_000
/** Files so small are rather read, too. */
const MIN_ROWS = 4096

/** The files in which keys of the stage may be, each with its place. */
async function filesOfKeys(
  scratch: ScratchFiles,
  table: Table,
  files: readonly ScratchFile[],
  stage: Stage,
): Promise<{ file: ScratchFile; place: number }[]> {
  const meeting = files.flatMap((file, place) =>
    mayMeet(table, file.ranges, stage.measured.ranges) ? [{ file, place }] : [],
  )
  const isWorth = ({ file }: { file: ScratchFile }) => stage.measured.rows <= MAX_FILTERED && file.rows >= MIN_ROWS
  if (!meeting.some(isWorth)) return meeting
  const hashes = await keyHashes(table, stage.rows)
  const found: { file: ScratchFile; place: number }[] = []
  for (const each of meeting) {
    if (!isWorth(each) || (await scratch.filter(table, each.file)).mayHoldAny(hashes)) found.push(each)
  }
  return found
}

/**
 * Which of the staged intents cannot be appended, with the error for each: those that have a key twice, or that is in
 * the table, or in an intent before them that can be appended.
 * @param there the staged keys that are in the table
 */
export async function keyConflicts(table: Table, stage: Stage, there: KeysThere): Promise<Map<number, TeatreeError>> {
  if (there.rows === 0 && stage.measured.keys === stage.measured.rows) return new Map()
  const candidates: Candidate[] = []
  for await (const { share, rows } of sharesByKey(table, stage, ['_intent', '_row', '_line'])) {
    // Where a table has no files, there is one share of what is there.
    const held = there.shares[share] ?? there.keys
    candidates.push(...(await candidatesAmong(table, rows, held, stage.intents === 1)))
  }
  candidates.sort((a, b) => a.intent - b.intent || a.row - b.row)
  return conflictsAmong(table, stage.intents === 1 ? candidates.slice(0, MAX_CELLS) : candidates, stage.intents)
}

async function candidatesAmong(
  table: Table,
  staged: LazyDataFrame,
  there: LazyDataFrame,
  isSingle: boolean,
): Promise<Candidate[]> {
  const key = keyStruct(table)
  const held = there.select(...table.key).withColumns(pl.lit(true).alias('_there'))
  const atFault = staged
    .withColumns(key.isDuplicated().alias('_copied'), key.isFirstDistinct().alias('_first'))
    .join(held, byKey(table, 'left'))
    .filter(pl.col('_there').or(isSingle ? pl.col('_first').not() : pl.col('_copied')))
  const columns = [...keyColumns(table), ...CANDIDATE_COLUMNS]
  const rows = rowsOf(await (isSingle ? atFault.limit(MAX_CELLS) : atFault).select(leaving(columns)).collect())
  return rows.map(row => ({
    intent: Number(row._intent),
    row: Number(row._row),
    line: row._line == null ? null : Number(row._line),
    key: table.key.map(name => row[name] ?? null),
    there: row._there === true,
    nth: row._first === true ? 1 : 2,
  }))
}

const CANDIDATE_COLUMNS = [
  { name: '_intent', type: 'INTEGER' },
  { name: '_row', type: 'BIGINT' },
  { name: '_line', type: 'BIGINT' },
  { name: '_there', type: 'BOOLEAN' },
  { name: '_first', type: 'BOOLEAN' },
] as const
