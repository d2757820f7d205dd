import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { literalPath, rowsOfFrame } from './frames.ts'
import pl, { type LazyDataFrame } from './polars.ts'

/**
 * On such a join, which a cross join with an inequality behind it becomes, Polars ends the process where it is to be streamed. So
 * the plan of nodejs-polars 0.26.1 shows it; a test makes one, which tells where another release shows it otherwise.
 */
const UNSTREAMED = /^\s*IEJOIN JOIN:/m

/** A frame that is mapped from a file, and how many rows it has. */
export interface Computed {
  frame: LazyDataFrame
  rows: number
}

/** Computes a frame into a file, from which it is mapped: what is written is looked at more than once, and need not be in memory. */
export type Compute = (frame: LazyDataFrame) => Promise<Computed>

/**
 * Frames that are computed into files of their own, from which they are mapped then; they are gone when this is disposed of. What is
 * written to a file Polars streams: neither what it reads has to be in memory nor what comes out of it, and it takes half of the
 * processor's time. Whatever its options say, `collect` of the package for Node does not.
 */
export class StreamedFrames implements AsyncDisposable {
  readonly #dir: string
  #folder: Promise<string> | undefined
  #next = 1

  /** @param dir which is there; nothing is made in it before a frame is computed */
  constructor(dir: string) {
    this.#dir = dir
  }

  async compute(frame: LazyDataFrame): Promise<Computed> {
    this.#folder ??= mkdtemp(join(this.#dir, 'frames-'))
    const path = join(await this.#folder, `${this.#next++}.arrow`)
    const streamed = UNSTREAMED.test(frame.describeOptimizedPlan()) ? (await frame.collect()).lazy() : frame
    await streamed.sinkIpc(path, { compression: 'uncompressed', maintainOrder: true }).collect()
    const computed = pl.scanIPC(literalPath(path))
    return { frame: computed, rows: await rowsOfFrame(computed) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Who asked for it was told where it could not be made.
    const folder = await this.#folder?.catch(() => undefined)
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
}
