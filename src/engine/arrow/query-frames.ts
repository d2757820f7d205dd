import type { FrameQueryContext } from '../../kinds/frames.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { computedRows } from './canonical-rows.ts'
import { framesFrom } from './columns.ts'
import pl from './polars.ts'
import { bytesOfColumns } from './read-bytes.ts'
import type { ReadSources } from './read-frames.ts'
import type { VersionTables } from './version-tables.ts'

/** Computes, within what `bytes` of memory may be needed. */
type Compute = <T>(work: () => Promise<T>, bytes: number) => Promise<T>

/** A version as a query function has it; what it asks for counts in memory from then on. */
export class QueryFrames {
  readonly #tables: VersionTables
  readonly #sources: ReadSources
  readonly #compute: Compute
  #bytes = 0

  constructor(tables: VersionTables, sources: ReadSources, compute: Compute) {
    this.#tables = tables
    this.#sources = sources
    this.#compute = compute
  }

  context(args: Readonly<Record<string, unknown>>): FrameQueryContext {
    return {
      args,
      pl,
      frame: framesFrom,
      rows: frame => this.#compute(() => computedRows(frame), this.#bytes),
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
