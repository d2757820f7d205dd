import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Table } from '../../kinds/kind.ts'
import { fileFrame } from './frames.ts'
import type { TableFile } from './manifest.ts'

/** Does work that holds a thread of the pool. */
type Admit = <T>(work: () => Promise<T>) => Promise<T>

interface Twin {
  path: Promise<string>
  owners: Set<object>
}

/**
 * Files of tables as Parquet, for what DuckDB does over a version: made when they are first asked for, and shared by all
 * versions that have the file, so that a new version costs what is new in it. They are gone when no reader has them.
 */
export class ParquetTwins {
  readonly #folder: string
  readonly #admit: Admit
  readonly #twins = new Map<string, Twin>()

  /** @param folder of its own; made when it is needed */
  constructor(folder: string, admit: Admit) {
    this.#folder = folder
    this.#admit = admit
  }

  /** The path of the file's twin, which is there until the owner lets go. It has all columns of the table. */
  of(owner: object, table: Pick<Table, 'columns'>, file: TableFile, path: string): Promise<string> {
    const columns = [...table.columns.values()]
    const key = JSON.stringify([file.sha256, file.lacks ?? [], columns.map(({ name, type }) => [name, type])])
    const twin = this.#twins.get(key) ?? { path: this.#make(columns, file, path), owners: new Set() }
    twin.owners.add(owner)
    this.#twins.set(key, twin)
    // What could not be made is tried again.
    twin.path.catch(() => {
      if (this.#twins.get(key) === twin) this.#twins.delete(key)
    })
    return twin.path
  }

  async #make(columns: Parameters<typeof fileFrame>[0], file: TableFile, path: string): Promise<string> {
    // Each time: where it could not be made once, the next may find room.
    await mkdir(this.#folder, { recursive: true })
    const to = join(this.#folder, `${randomUUID()}.parquet`)
    const part = `${to}.part`
    try {
      await this.#admit(() => fileFrame(columns, file, path).sinkParquet(part, { compression: 'zstd' }).collect())
      await rename(part, to)
      return to
    } catch (error) {
      await rm(part, { force: true })
      throw error
    }
  }

  /** Lets go of all that the owner had. */
  async letGo(owner: object): Promise<void> {
    const gone: Promise<string>[] = []
    for (const [key, twin] of this.#twins) {
      if (!twin.owners.delete(owner) || twin.owners.size > 0) continue
      this.#twins.delete(key)
      gone.push(twin.path)
    }
    for (const made of await Promise.allSettled(gone))
      if (made.status === 'fulfilled') await rm(made.value, { force: true })
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
