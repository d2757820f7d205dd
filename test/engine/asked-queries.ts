import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { QueryBounds, QueryWork, Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import type { TestEngine } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

export const MEMORY = 256 << 20
export const BOUNDS: QueryBounds = { seconds: 60, rows: 1000, bytes: 1 << 20 }

export const sql = (statement: string, params: readonly unknown[] = []): QueryWork => ({ is: 'sql', statement, params })

/** The code that it is refused with; `done` where it is not. */
export async function codeOf(asking: Promise<unknown>): Promise<string> {
  try {
    await asking
    return 'done'
  } catch (error) {
    return error instanceof TeatreeError ? error.code : `${error}`
  }
}

/** An orchard of three growers, `a` to `c`, one version, of which SQL is asked. Disposed of, it leaves no file of a query behind. */
export class AskedQueries implements AsyncDisposable {
  readonly folder: TestFolder
  readonly readers: Readers
  readonly reader: SnapshotReader

  private constructor(folder: TestFolder, readers: Readers, reader: SnapshotReader) {
    this.folder = folder
    this.readers = readers
    this.reader = reader
  }

  static async open(engine: TestEngine): Promise<AskedQueries> {
    const folder = await testFolder(engine)
    const readers = await engine.startReaders(
      {},
      { memoryBytes: MEMORY, folder: join(folder.path, 'queries'), ready: 1, keepMs: 20 },
    )
    const growers = ['a', 'b', 'c'].map((growerId, index) => ({
      growerId,
      region: 'north',
      since: `2024-01-0${index + 1}`,
    }))
    const reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, { growers }) })
    return new AskedQueries(folder, readers, reader)
  }

  /** Where a result can be written. */
  target(): string {
    return join(this.folder.path, `${crypto.randomUUID()}.parquet`)
  }

  async ask(statement: string, params: readonly unknown[] = [], bounds: Partial<QueryBounds> = {}) {
    const path = this.target()
    const result = await this.reader.run(sql(statement, params), path, { ...BOUNDS, ...bounds })
    return { ...result, path, values: await this.readers.resultRows({ path, ...result }, { offset: 0, limit: 1000 }) }
  }

  async valuesOf(statement: string, params?: readonly unknown[]) {
    return (await this.ask(statement, params)).values
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader.close()
    await this.readers.close()
    expect(await readdir(join(this.folder.path, 'queries')), 'processes leave nothing behind').toEqual([])
    await this.folder[Symbol.asyncDispose]()
  }
}
