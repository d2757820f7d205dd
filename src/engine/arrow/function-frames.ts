import type { FrameTools } from '../../kinds/frames.ts'
import type { Table } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { sameKeyTwice } from '../function-calls.ts'
import type { Filter } from '../plan.ts'
import { tableOf } from '../plan-tables.ts'
import { computedRows } from './canonical-rows.ts'
import { framesFrom } from './columns.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import {
  appendStage,
  framesOf,
  removeStage,
  replaceStage,
  rowsIn,
  type TableFiles,
  upsertStage,
  type WriteContext,
} from './row-writes.ts'
import type { ScratchFile } from './scratch-files.ts'
import type { Stage } from './stage.ts'
import type { Compute, StreamedFrames } from './streamed-frames.ts'
import { selected } from './where.ts'
import { stageOfKeys, stageOfWritten } from './written-frames.ts'

type Write = (context: WriteContext, table: Table, stage: Stage) => Promise<{ files: readonly ScratchFile[] }>

/** The tables of the model as a function has them: each write leads to the next set of files, one after the other, until it is over. */
export class FunctionFrames {
  readonly #name: string
  #context: WriteContext
  #last: Promise<unknown> = Promise.resolve()
  readonly #reads = new Set<Promise<unknown>>()
  #failure: { error: unknown } | undefined
  #isOver = false
  /** Of frames of which it is known without computing them. */
  readonly #counts = new WeakMap<object, number>()

  readonly #streamed: StreamedFrames

  constructor(name: string, context: WriteContext, streamed: StreamedFrames) {
    this.#name = name
    this.#context = context
    this.#streamed = streamed
  }

  readonly tools: FrameTools = {
    pl,
    frame: (columns, rows) => this.counted(framesFrom(columns, rows), rows.length),
    rows: frame => this.#read(() => computedRows(frame)),
  }

  /** As they are by now. */
  get tables(): TableFiles {
    return this.#context.tables
  }

  table(name: string): LazyDataFrame {
    const { kind, tables } = this.#context
    const frame = framesOf(this.#context).frame(tableOf(kind, name).name)
    return this.counted(frame, rowsIn(tables.get(name) ?? []))
  }

  where(name: string, filter: Filter): LazyDataFrame {
    const frames = framesOf(this.#context)
    return selected(frames, tableOf(frames.kind, name), frames.frame(name), filter)
  }

  append(name: string, frame: LazyDataFrame): Promise<void> {
    return this.#write(name, frame, stageOfWritten, async (context, table, stage) => {
      const { files, refused } = await appendStage(context, table, stage)
      if (refused.size > 0) throw sameKeyTwice(this.#name, table.name)
      return { files }
    })
  }

  upsert(name: string, frame: LazyDataFrame): Promise<void> {
    return this.#write(name, frame, stageOfWritten, upsertStage)
  }

  replace(name: string, frame: LazyDataFrame): Promise<void> {
    return this.#write(name, frame, stageOfWritten, async (context, table, stage) => {
      try {
        return await replaceStage(context, table, stage)
      } catch (error) {
        const isConflict = error instanceof TeatreeError && error.code === 'KEY_CONFLICT'
        throw isConflict ? sameKeyTwice(this.#name, table.name) : error
      }
    })
  }

  remove(name: string, frame: LazyDataFrame): Promise<void> {
    return this.#write(name, frame, stageOfKeys, removeStage)
  }

  /** What came out of a step, with the rows of a lazy frame computed. */
  async computed<T>(out: T): Promise<T> {
    if (!isLazy(out)) return out
    const { frame, rows } = await this.#read(() => this.#streamed.compute(out))
    return this.counted(frame, rows) as T
  }

  /** How many rows there are in all of them; undefined where that is not known of one, or there is none. */
  rowsOf(all: readonly unknown[]): number | undefined {
    const counts = all.map(each => this.#countOf(each))
    if (counts.length === 0) return undefined
    return counts.reduce((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0)
  }

  counted(frame: LazyDataFrame, rows: number): LazyDataFrame {
    this.#counts.set(frame, rows)
    return frame
  }

  /** Of the first write that failed: whoever caught its error, the function has failed. */
  get failure(): { error: unknown } | undefined {
    return this.#failure
  }

  /** That the writes which the function did not wait for are done too. */
  async settled(): Promise<void> {
    await this.#last
  }

  /** Takes no more reads and writes, and settles when none is under way: Polars stops for nobody. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#last
    await Promise.allSettled(this.#reads)
  }

  #countOf(given: unknown): number | undefined {
    if (Array.isArray(given)) return given.length
    if (pl.DataFrame.isDataFrame(given)) return given.height
    return typeof given === 'object' && given !== null ? this.#counts.get(given) : undefined
  }

  #read<T>(work: () => Promise<T>): Promise<T> {
    const reading = this.#isOver ? Promise.reject(new Error('the function is over')) : work()
    this.#reads.add(reading)
    const done = () => this.#reads.delete(reading)
    reading.then(done, done)
    return reading
  }

  #write(
    name: string,
    frame: LazyDataFrame,
    staged: (by: string, table: Table, frame: LazyDataFrame, compute: Compute) => Promise<Stage>,
    write: Write,
  ): Promise<void> {
    const writing = this.#last.then(async () => {
      if (this.#isOver) throw new Error('the function is over')
      const table = tableOf(this.#context.kind, name)
      const stage = await staged(`function ${this.#name}`, table, frame, each => this.#streamed.compute(each))
      const { files } = await write(this.#context, table, stage)
      this.#context = { ...this.#context, tables: new Map([...this.#context.tables, [table.name, files]]) }
    })
    this.#last = writing.catch(error => {
      if (!this.#isOver) this.#failure ??= { error }
    })
    return writing
  }
}

const isLazy = (value: unknown): value is LazyDataFrame => pl.LazyDataFrame.isLazyDataFrame(value)
