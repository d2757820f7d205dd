import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Table } from '../../kinds/kind.ts'
import { keepYoung } from '../../platform/keep-young.ts'
import { fileFrame } from './frames.ts'
import type { TableFile } from './manifest.ts'

type Columns = Parameters<typeof fileFrame>[0]
/** Does work that holds a thread of the pool. */
type Admit = <T>(work: () => Promise<T>) => Promise<T>

interface Twin {
  path: Promise<string>
  /** 0 until it has been made. */
  bytes: number
  owners: Set<object>
  holds: Set<TwinHold>
}

/** While it is not disposed of, the twins that were got with it stay. */
export interface TwinHold extends Disposable {
  readonly twins: Set<object>
}

/** So much disk all twins of a process may take, but for those that are being read. */
const MOST_BYTES = 4 * 2 ** 30

/**
 * Files of tables as Parquet, for what DuckDB does over a version: made when they are first asked for, and shared by all
 * versions that have the file, so that a new version costs what is new in it. They are gone when no reader has them, and
 * past a bound those that were read longest ago go first; who asks again has them made again.
 */
export class ParquetTwins {
  readonly #folder: string
  readonly #admit: Admit
  readonly #most: number
  /** Those that were asked for last are last. */
  readonly #twins = new Map<string, Twin>()
  #bytes = 0
  readonly #leaveAlone: () => void

  /** @param folder of its own; made when it is needed */
  constructor(folder: string, admit: Admit, most = MOST_BYTES, keepMs?: number) {
    this.#folder = folder
    this.#admit = admit
    this.#most = most
    this.#leaveAlone = keepYoung(() => [folder], keepMs)
  }

  /** For one read, or some that are of one reader. */
  hold(): TwinHold {
    const twins = new Set<Twin>()
    const hold = {
      twins,
      [Symbol.dispose]: () => {
        for (const twin of twins) twin.holds.delete(hold)
        twins.clear()
        this.#makeRoom()
      },
    }
    return hold
  }

  /** The path of the file's twin, which is there while it is held and the owner has not let go. It has all columns of the table. */
  of(
    { owner, hold }: { owner: object; hold: TwinHold },
    table: Pick<Table, 'columns'>,
    file: TableFile,
    path: string,
  ): Promise<string> {
    const columns = [...table.columns.values()]
    const key = JSON.stringify([file.sha256, file.lacks ?? [], columns.map(({ name, type }) => [name, type])])
    const twin = this.#twins.get(key) ?? this.#begin(key, columns, file, path)
    twin.owners.add(owner)
    twin.holds.add(hold)
    hold.twins.add(twin)
    this.#twins.delete(key)
    this.#twins.set(key, twin)
    return twin.path
  }

  #begin(key: string, columns: Columns, file: TableFile, path: string): Twin {
    const twin: Twin = { path: this.#make(columns, file, path), bytes: 0, owners: new Set(), holds: new Set() }
    twin.path.then(
      async made => {
        const { size } = await stat(made).catch(() => ({ size: 0 }))
        // Let go of meanwhile.
        if (this.#twins.get(key) !== twin) return
        twin.bytes = size
        this.#bytes += size
        this.#makeRoom()
      },
      // What could not be made is tried again.
      () => {
        if (this.#twins.get(key) === twin) this.#twins.delete(key)
      },
    )
    return twin
  }

  async #make(columns: Columns, file: TableFile, path: string): Promise<string> {
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

  #makeRoom(): void {
    for (const [key, twin] of this.#twins) {
      if (this.#bytes <= this.#most) return
      if (twin.bytes > 0 && twin.holds.size === 0) void this.#remove(key, twin)
    }
  }

  /** Whoever asks for it from now on has another made, of another name. */
  async #remove(key: string, twin: Twin): Promise<void> {
    this.#twins.delete(key)
    this.#bytes -= twin.bytes
    const path = await twin.path.catch(() => null)
    // What cannot be removed goes with the folder.
    if (path !== null) await rm(path, { force: true }).catch(() => {})
  }

  /** Lets go of all that the owner had. */
  async letGo(owner: object): Promise<void> {
    const gone: Promise<void>[] = []
    for (const [key, twin] of this.#twins)
      if (twin.owners.delete(owner) && twin.owners.size === 0) gone.push(this.#remove(key, twin))
    await Promise.all(gone)
  }

  async close(): Promise<void> {
    this.#leaveAlone()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
