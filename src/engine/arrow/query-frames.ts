import type { FrameQueryContext } from '../../kinds/frames.ts'
import type { Row } from '../../kinds/types.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { framesFrom } from './columns.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { bytesOfColumns } from './read-bytes.ts'
import type { ReadSources } from './read-frames.ts'
import type { VersionTables } from './version-tables.ts'

/**
 * What is computed of columns is in memory beside them: where a function puts frames together and groups them, as `attainment`
 * does, twice what they are.
 */
const TIMES_COLUMNS = 3

/** Computes the frame's rows, for which so many bytes of memory may be needed where it is not streamed. */
type ComputeRows = (frame: LazyDataFrame, bytes: number) => Promise<Row[]>

/** A version as a query function has it; what it asks for counts in memory from then on. */
export class QueryFrames {
  readonly #tables: VersionTables
  readonly #sources: ReadSources
  readonly #rows: ComputeRows
  #bytes = 0

  constructor(tables: VersionTables, sources: ReadSources, rows: ComputeRows) {
    this.#tables = tables
    this.#sources = sources
    this.#rows = rows
  }

  context(args: Readonly<Record<string, unknown>>): FrameQueryContext {
    return {
      args,
      pl,
      frame: framesFrom,
      rows: frame => this.#rows(frame, TIMES_COLUMNS * this.#bytes),
      reads: this.#sources.frames(({ frame, bytes }) => {
        this.#bytes += bytes
        return frame
      }),
      table: async (name, columns) => {
        const table = tableOf(this.#tables.kind, name)
        const list = columns.map(column => pl.col(columnOf(table, column).name))
        await this.#tables.check([name])
        this.#bytes += bytesOfColumns(table, columns, this.#tables.rows(name))
        return this.#tables.frame(name).select(list)
      },
    }
  }
}
