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

  /** As it was when it was first read since `forget`. */
  async read(): Promise<SizedWal> {
    this.#read ??= await this.#readNow()
    return this.#read
  }

  async #readNow(): Promise<SizedWal> {
    const wal = await readFile(this.#path).catch(absent)
    return { size: wal?.length ?? 0, ...walForReaders(wal ?? Buffer.alloc(0)) }
  }

  /** It has been written to since. */
  forget(): void {
    this.#read = null
  }
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
