import { hash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { syncPath } from '../../platform/sync-path.ts'
import { manifestDigest } from '../blocks.ts'
import type { BlockManifest, SnapshotFile } from '../engine.ts'
import { BASE, BASE_WAL, DATABASE, walOf } from './database.ts'
import { type BlocksInUse, blockChecksums, blocksInUse } from './database-blocks.ts'
import {
  blockManifest,
  cloned,
  copyForUse,
  copyWithManifest,
  linkOrCopy,
  patchWithManifest,
  updatedManifest,
} from './snapshot-files.ts'
import type { DuckDBSql } from './sql.ts'
import { isUntouched, markUntouched } from './untouched.ts'
import { type ReadersWal, walForReaders } from './wal.ts'

/** The WAL as readers get it, and the bytes that it has in the writer's database. */
type SizedWal = ReadersWal & { size: number }

/** The state of the database at a checkpoint, in a file that versions are links to and nothing writes to. */
interface Base {
  path: string
  manifest: BlockManifest
  checksums: Buffer
  /** Blocks that checkpoints have written since; null where that is not known. */
  outdated: Set<number> | null
}

/** What a base costs to make where none has been made yet: a checkpoint, its syncs, and a copy. */
const BASE_MS = { least: 30, byte: 2e-6 }
/** A reader opens a version in a tenth of a second, even where a new base would be dear. */
const MOST_REPLAY_MS = 100
/** What a WAL of more would cost its readers is not looked at. */
const MOST_WAL_BYTES = 1 << 20
/** With less than this, a new base is not worth its making even while nobody waits. */
const LEAST_REPLAY_MS = 5
/** A file to be patched is an option: beside it as much again stays free for what has to be written. */
const SPARE_ROOM = 2

/**
 * Publishes the states of a database at the price of what has changed. A version is a link to a base and a copy of the
 * WAL that has come since:
 *
 *   bases/1  ═ version 7 ═ version 8 ═ version 9             (═ a link: one file, many names)
 *   WAL           a          a b         a b c
 *   bases/2                                      ═ version 10 ═ version 11
 *   WAL                                                -             d
 *
 * A new base is made when the WAL has cost its readers as much as a base costs; or while nobody waits. It is a clone
 * where the file system can; else the file of a **retired** base, one that no version is a link to any more, to which
 * only those blocks are written that have changed in between. Where there is none yet, one is copied in the background.
 */
export class Bases {
  readonly #dir: string
  readonly #database: string
  /** The file that is yet to be taken as the first base, and its manifest, where that is known. */
  #first: string | null = null
  #firstManifest: BlockManifest | null = null
  /** A base that is another model's, too: while it had a name here, none of the two could take it for retired. */
  #shared: Base | null = null
  readonly #isShared: boolean
  #current: Base | null = null
  /** Those before it, the newest first. */
  #older: Base[] = []
  #used: BlocksInUse | null = null
  #sparing: Promise<void> | null = null
  /** There was no room for one: it is not tried again with each version, which others would go without room for. */
  #isWithoutSpare = false
  #made = 0
  /** What the last base cost to make, and what the versions since have cost their readers. */
  #costMs = 0
  #replayMs = 0
  /** The WAL as readers get it, as of the size that it had then. */
  #read: SizedWal | null = null

  private constructor(dir: string, database: string, isShared: boolean) {
    this.#dir = dir
    this.#database = database
    this.#isShared = isShared
  }

  /**
   * `dir` is for the bases alone, and nothing is left of it when the writer is opened again; `database` is the file whose
   * states are published. `from` is what it was begun as a copy of: the first versions are links to it, too. It belongs to
   * a version that is kept, so nobody can take it for retired while it gets another name. `isShared`: of another model,
   * whose manager is to have it for retired when no version is a link to it any more.
   */
  static async open(of: {
    dir: string
    database: string
    from: string | null
    manifest?: BlockManifest | null
    isShared?: boolean
  }): Promise<Bases> {
    const bases = new Bases(of.dir, of.database, of.isShared ?? false)
    if (of.from !== null) {
      // Before anything is written: what is in use now is what is in that file.
      bases.#used = await blocksInUse(of.database)
      await mkdir(of.dir, { recursive: true })
      bases.#first = bases.#nextPath()
      bases.#firstManifest = of.manifest ?? null
      await linkOrCopy(of.from, bases.#first)
    }
    return bases
  }

  /** Whether the present state must be published with a new base. */
  async isDue(): Promise<boolean> {
    await this.#takeFirst()
    if ((await this.#walBytes()) > MOST_WAL_BYTES || !(await this.#isUntouched())) return true
    return this.#nearness(await this.#wal()) > 1
  }

  /** How much of what makes a new base due has come together. */
  #nearness({ size, replayMs }: SizedWal): number {
    const bounds = [size / MOST_WAL_BYTES, replayMs / MOST_REPLAY_MS, (this.#replayMs + replayMs) / this.#costMs]
    return Math.max(...bounds)
  }

  /** Whether a new base is worth its making while nobody waits. */
  async isWorthwhile(): Promise<boolean> {
    if ((await this.#walBytes()) > MOST_WAL_BYTES || !(await this.#isUntouched())) return true
    const { replayMs } = await this.#wal()
    if (replayMs < LEAST_REPLAY_MS) return false
    return this.#replayMs > this.#costMs || (await this.#retired()).length > 0
  }

  /** Its bytes are looked at only when a version is made of it. */
  async #takeFirst(): Promise<void> {
    const path = this.#first
    if (path === null) return
    const manifest = this.#firstManifest ?? (await blockManifest(path))
    const checksums = await blockChecksums(path)
    this.#current = { path, manifest, checksums, outdated: this.#used && new Set() }
    this.#costMs = BASE_MS.least + manifest.bytes * BASE_MS.byte
    if (this.#isShared) this.#shared = this.#current
    this.#first = null
    this.#firstManifest = null
  }

  #nextPath(): string {
    this.#made += 1
    return join(this.#dir, `${this.#made}.duckdb`)
  }

  /** Makes the present state the base. Nothing may be written to the database meanwhile. */
  async renew(sql: DuckDBSql): Promise<void> {
    const started = performance.now()
    await sql.run('CHECKPOINT')
    const used = await blocksInUse(this.#database)
    const written = used && this.#used && writtenBetween(this.#used, used)
    for (const base of this.#all()) base.outdated = written && (base.outdated?.union(written) ?? null)
    this.#used = used
    await mkdir(this.#dir, { recursive: true })
    const checksums = await blockChecksums(this.#database)
    const retired = await this.#retired()
    // Before one is written to: a copy of it that is under way is torn then, and must not count.
    this.#older = this.#older.filter(each => !retired.includes(each))
    const path = this.#nextPath()
    const base = {
      path,
      manifest: await this.#make(path, checksums, retired[0]),
      checksums,
      outdated: new Set<number>(),
    }
    for (const each of retired) await rm(each.path, { force: true })
    this.#older = this.#all()
    this.#current = base
    if (this.#shared) await this.#remove([this.#shared])
    this.#shared = null
    await markUntouched(this.#database)
    this.#costMs = performance.now() - started
    this.#replayMs = 0
    this.#read = null
    this.#isWithoutSpare = false
  }

  /** Writes the present state into `dir`, synced. */
  async publish(dir: string): Promise<SnapshotFile[]> {
    if (!this.#current) throw new Error('there is no base yet')
    const { path, manifest } = this.#current
    const base = { bytes: manifest.bytes, sha256: manifestDigest(manifest.blocks) }
    const [, ...more] = await this.#retired()
    await this.#remove(more)
    const read = await this.#wal()
    const { bytes: wal, replayMs } = read
    this.#read = null
    if (wal.length === 0) {
      await linkOrCopy(path, join(dir, DATABASE))
      await syncPath(dir)
      return [{ name: DATABASE, ...base }]
    }
    if (this.#needsSpare(read)) this.#makeSpare()
    this.#replayMs += replayMs
    await linkOrCopy(path, join(dir, BASE))
    await using copy = await open(join(dir, BASE_WAL), 'w')
    await copy.writeFile(wal)
    // Both at once are one commit of the file system's journal.
    await Promise.all([copy.sync(), syncPath(dir)])
    return [
      { name: BASE, ...base },
      { name: BASE_WAL, bytes: wal.length, sha256: hash('sha256', wal, 'hex') },
    ]
  }

  #all(): Base[] {
    return this.#current ? [this.#current, ...this.#older] : this.#older
  }

  /** Nothing of it is left at work. */
  async close(): Promise<void> {
    await this.#sparing
  }

  /**
   * The base before is still a version's for the first few versions, and will do once it is retired: a copy beside it is
   * for those alone who keep it until a new base is near.
   */
  #needsSpare(wal: SizedWal): boolean {
    const nearness = this.#nearness(wal)
    return this.#older.length === 0 ? wal.replayMs > LEAST_REPLAY_MS / 2 || nearness > 1 / 4 : nearness > 3 / 4
  }

  /** Sees to it, out of sight, that there is a file to be patched when a new base is due. */
  #makeSpare(): void {
    const like = this.#current
    if (!like?.outdated || this.#sparing || this.#isWithoutSpare) return
    this.#sparing = this.#copy(like).finally(() => {
      this.#sparing = null
    })
  }

  async #copy(like: Base): Promise<void> {
    if ((await this.#retired()).length > 0) return
    const path = this.#nextPath()
    // Where there is no room, a new base is a copy when it is due, if there is room then.
    const isCopied =
      (await hasRoom(this.#dir, SPARE_ROOM * like.manifest.bytes)) &&
      (await copyForUse(like.path, path).then(
        () => true,
        () => false,
      ))
    if (!isCopied) this.#isWithoutSpare = true
    // One that was retired meanwhile may have been written to.
    if (isCopied && like.outdated && this.#all().includes(like))
      this.#older.push({ ...like, path, outdated: new Set(like.outdated) })
    else await rm(path, { force: true })
  }

  async #remove(bases: readonly Base[]): Promise<void> {
    this.#older = this.#older.filter(each => !bases.includes(each))
    for (const { path } of bases) await rm(path, { force: true })
  }

  /** Of those before the present one; of each, no name is left but its own. */
  async #retired(): Promise<Base[]> {
    const retired: Base[] = []
    for (const base of this.#older) if ((await stat(base.path)).nlink === 1) retired.push(base)
    return retired
  }

  async #make(path: string, checksums: Buffer, retired: Base | undefined): Promise<BlockManifest> {
    if (await cloned(this.#database, path)) {
      const like = this.#current
      const changed = like && changedSince(like, checksums)
      await syncPath(path)
      return like && changed ? await updatedManifest(path, like.manifest, changed) : await blockManifest(path)
    }
    const changed = retired && changedSince(retired, checksums)
    if (!retired || !changed) return copyWithManifest(this.#database, path)
    const manifest = await patchWithManifest(this.#database, retired.path, retired.manifest, changed)
    await rename(retired.path, path)
    return manifest
  }

  async #wal(): Promise<SizedWal> {
    const size = await this.#walBytes()
    if (this.#read?.size !== size) {
      const wal = size === 0 ? Buffer.alloc(0) : await readFile(walOf(this.#database))
      this.#read = { size, ...walForReaders(wal) }
    }
    return this.#read
  }

  async #walBytes(): Promise<number> {
    return (await stat(walOf(this.#database)).catch(absent))?.size ?? 0
  }

  /**
   * A large append writes its rows to the file itself, and only where they are into the WAL: with a base from before, that
   * WAL is worth nothing.
   */
  async #isUntouched(): Promise<boolean> {
    return this.#current !== null && (await isUntouched(this.#database))
  }
}

/** What a checkpoint wrote: it never writes to a block that was in use before it, other than metadata. */
const writtenBetween = (before: BlocksInUse, after: BlocksInUse): Set<number> =>
  after.all.difference(before.all).union(after.metadata)

/** The blocks in which the database differs from the base; null where that is not known. */
function changedSince({ outdated, checksums }: Base, now: Buffer): number[] | null {
  if (!outdated) return null
  const changed: number[] = []
  for (let block = 0; block * 8 < now.length; block++) {
    const [from, to] = [block * 8, block * 8 + 8]
    if (outdated.has(block) || to > checksums.length || now.compare(checksums, from, to, from, to) !== 0)
      changed.push(block)
  }
  return changed
}

async function hasRoom(dir: string, bytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(dir)
  return bavail * bsize >= bytes
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
