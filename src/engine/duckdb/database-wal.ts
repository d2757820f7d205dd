import { readFile, stat } from 'node:fs/promises'
import { walOf } from './database.ts'
import { type ReadersWal, walForReaders } from './wal.ts'

/** The WAL as readers get it, and the bytes that it has in the writer's database. */
export type SizedWal = ReadersWal & { size: number }

/** The WAL of the writer's database, read once for each version. */
export class DatabaseWal {
  readonly #path: string
  #read: SizedWal | null = null

  constructor(database: string) {
    this.#path = walOf(database)
  }

  async size(): Promise<number> {
    return (await stat(this.#path).catch(absent))?.size ?? 0
  }

  async read(): Promise<SizedWal> {
    const size = await this.size()
    if (this.#read?.size !== size) {
      const wal = size === 0 ? Buffer.alloc(0) : await readFile(this.#path)
      this.#read = { size, ...walForReaders(wal) }
    }
    return this.#read
  }

  /** Another one may have the same size. */
  forget(): void {
    this.#read = null
  }
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
