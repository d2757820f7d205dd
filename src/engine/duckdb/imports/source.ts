import type { Table } from '../../../kinds/kind.ts'
import type { ImportMode } from '../../engine.ts'
import type { DuckDBSql } from '../sql.ts'
import type { Fill, Mapping } from './fills.ts'

/** What every reader of a source is given. */
export interface Reading {
  sql: DuckDBSql
  table: Table
  mapping: Mapping
  /** An empty folder for what has to be put down on the way. */
  scratch: string
  signal: AbortSignal
  /** How much has been read, 0 to 1; null where that is not known. */
  onRead(progress: number | null): void
}

/** Records of text: so many fields, c0, c1 … */
export interface RecordsOfText {
  path: string
  delimiter: string
  fields: number
  /** Whether `_row` and `_line` stand before them. Else there is a header, and every record is one line. */
  isNumbered: boolean
}

/** A source as the importing DuckDB can read it, any number of times and always the same. */
export interface Source {
  /** SQL for FROM: c0, c1 … by the source's order, _row from 1, and _line where the file has lines, else null. */
  relation: string
  /** The same rows in the same order, of which _row and _line need not be known: to number rows takes one thread. */
  cells: string
  fills: readonly Fill[]
  /** How many records there must be, where they have been counted. */
  records?: number
  /** The file of records that the relation reads, where it is one: as record-file.ts writes it, or as it came. */
  text?: RecordsOfText
  /** Whether a column _nested says which fills ("0,3") have objects or arrays, which are null here, in a record. */
  nested?: boolean
  /** What to make of an error that DuckDB has while it reads the relation. */
  readError(error: unknown): unknown
}

export type { ImportMode }
