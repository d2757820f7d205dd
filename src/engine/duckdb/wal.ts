/**
 * A WAL is a header and entries. An entry is its size and its checksum, eight bytes each, and its content, which says of
 * what type it is:
 *
 *   header  [size checksum | type …]  [size checksum | type …]  …
 */
const HEADER = Buffer.from('d\0be\0\x02\xff\xff', 'latin1')
const CONTENT = 16
/** Where a content has its type; of rows that are inserted, how many; and of an update, which column. */
const AT = { type: 2, rows: 7, column: 6 }
const TYPE = { use: 25, insert: 26, delete: 27, update: 28, flush: 100 }
/**
 * What stands around that. Each field begins with its number, in two bytes: in a release that has moved one, other numbers
 * stand there, and nothing is concluded from what is read.
 */
const BEGIN = 'd\0'
const BEFORE: Record<number, string> = {
  [TYPE.use]: 'd\0\x19e\0',
  [TYPE.insert]: 'd\0\x1ae\0d\0',
  [TYPE.delete]: 'd\0\x1be\0',
  [TYPE.update]: 'd\0\x1ce\0',
  [TYPE.flush]: 'd\0d\xff\xff',
}
const BEHIND_ROWS = 'e\0'
/** An update of the state is of a column itself, not of a part of one: its path has one step. */
const [BEFORE_COLUMN, BEHIND_COLUMN] = ['\x01', 'f\0']
/** The entry that says: what follows is of the table `_teatree.state`. */
const USE_STATE = Buffer.from('d\0\x19e\0\x08_teatreef\0\x05state\xff\xff', 'latin1')

/**
 * Rows that come together in one transaction. DuckDB writes row groups to the file before the commit where there are more
 * than one, and the file of a reader is nobody's to write to.
 */
const MOST_ROWS = 50_000

/** Measured, on top of what its bytes cost to be copied and read. A row that is updated is read first, with the block that it is in. */
const REPLAY_MS: Record<number, number> = {
  [TYPE.insert]: 0.05,
  [TYPE.delete]: 0.01,
  [TYPE.update]: 0.1,
  [TYPE.flush]: 0.4,
}
const REPLAY_MS_PER_BYTE = 20 / 2 ** 20
/** Of a WAL of which nothing more is known. */
const UNKNOWN_MS_PER_BYTE = 80 / 2 ** 20

/** What readers replay, and what that costs each of them, in milliseconds. */
export interface ReadersWal {
  bytes: Buffer
  replayMs: number
}

interface Transaction {
  entries: Buffer[]
  /** Those of them that insert rows. */
  inserts: Buffer[]
  /** The columns of the state that it sets. */
  state: Set<number>
  /** How many rows it inserts; null where it does anything else but set the state. */
  rows: number | null
}

/**
 * The WAL as readers get it: it makes the same of the base, row for row and in the same places, in fewer transactions.
 * DuckDB runs two statements for each that it replays, which takes longer than the few rows that come with it. Those that
 * do nothing but insert have no need of one another, nor of an end of their own:
 *
 *   the writer's   state insert END   state insert END   state insert insert END   state delete END
 *   the readers'         insert             insert       state insert insert END   state delete END
 *
 * One that is not of the form that is known here is left as it is.
 */
export function walForReaders(wal: Buffer): ReadersWal {
  const transactions = transactionsOf(wal)
  if (!transactions) return { bytes: wal, replayMs: wal.length * UNKNOWN_MS_PER_BYTE }
  const entries: Buffer[] = []
  let rows = 0
  for (const [index, transaction] of transactions.entries()) {
    const next = transactions[index + 1]
    rows += transaction.rows ?? 0
    const goesOn = next !== undefined && isSuperseded(transaction, next) && rows + (next.rows ?? 0) <= MOST_ROWS
    entries.push(...(goesOn ? transaction.inserts : transaction.entries))
    if (!goesOn) rows = 0
  }
  const bytes = Buffer.concat([HEADER, ...entries])
  const replayMs = entries.reduce((sum, entry) => sum + (REPLAY_MS[typeOf(entry)] ?? 0), 0)
  return { bytes, replayMs: replayMs + bytes.length * REPLAY_MS_PER_BYTE }
}

/** Whether nothing is left of the first but the rows that it inserts, once the second is through. */
const isSuperseded = (first: Transaction, second: Transaction): boolean =>
  first.rows !== null && second.rows !== null && first.state.isSubsetOf(second.state)

/** Null where it is not of the form that is known. */
function transactionsOf(wal: Buffer): Transaction[] | null {
  const entries = entriesOf(wal)
  if (!entries) return null
  const transactions: Transaction[] = []
  let under = begun()
  let table: 'none' | 'state' | 'other' = 'none'
  for (const entry of entries) {
    const type = typeOf(entry)
    if (!isOfForm(entry, type, table)) return null
    under.entries.push(entry)
    if (type === TYPE.flush) {
      transactions.push(under)
      under = begun()
      table = 'none'
      continue
    }
    if (type === TYPE.use) table = entry.subarray(CONTENT).equals(USE_STATE) ? 'state' : 'other'
    if (type === TYPE.update && table === 'state') under.state.add(entry[CONTENT + AT.column] ?? 0)
    else if (type === TYPE.insert && table === 'other' && under.rows !== null) under.rows += rowsOf(entry).rows
    else if (type !== TYPE.use) under.rows = null
    if (table === 'other') under.inserts.push(entry)
  }
  return under.entries.length === 0 ? transactions : null
}

const begun = (): Transaction => ({ entries: [], inserts: [], state: new Set(), rows: 0 })

function entriesOf(wal: Buffer): Buffer[] | null {
  if (!wal.subarray(0, HEADER.length).equals(HEADER)) return null
  const entries: Buffer[] = []
  for (let at = HEADER.length; at < wal.length; ) {
    if (at + CONTENT > wal.length) return null
    const end = at + CONTENT + Number(wal.readBigUInt64LE(at))
    if (end > wal.length) return null
    entries.push(wal.subarray(at, end))
    at = end
  }
  return entries
}

const typeOf = (entry: Buffer): number => entry[CONTENT + AT.type] ?? 0

function isOfForm(entry: Buffer, type: number, table: 'none' | 'state' | 'other'): boolean {
  if (!says(entry, 0, BEFORE[type] ?? BEGIN)) return false
  if (type === TYPE.flush) return entry.length === CONTENT + (BEFORE[type]?.length ?? 0)
  if (type === TYPE.insert) return says(entry, AT.rows + rowsOf(entry).bytes, BEHIND_ROWS)
  if (type !== TYPE.update || table !== 'state') return true
  return says(entry, AT.column - 1, BEFORE_COLUMN) && says(entry, AT.column + 1, BEHIND_COLUMN)
}

const says = (entry: Buffer, at: number, bytes: string): boolean =>
  entry.toString('latin1', CONTENT + at, CONTENT + at + bytes.length) === bytes

/** A number in groups of seven bits, the lowest first; the highest bit of a byte says that there are more. */
function rowsOf(insert: Buffer): { rows: number; bytes: number } {
  let rows = 0
  for (let bytes = 0; ; bytes++) {
    const byte = insert[CONTENT + AT.rows + bytes] ?? 0
    rows += (byte & 127) << (7 * bytes)
    if (byte < 128) return { rows, bytes: bytes + 1 }
  }
}
