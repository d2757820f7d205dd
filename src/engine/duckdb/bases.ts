import { hash } from 'node:crypto'
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { reach } from '../../platform/kill-points.ts'
import { syncPath } from '../../platform/sync-path.ts'
import type { BlockManifest, SnapshotFile } from '../engine.ts'
import { type Base, baseOf, isRetired, makeBase, outdate } from './base.ts'
import { BasePrice, MOST_WAL_BYTES } from './base-price.ts'
import { BASE, BASE_WAL, DATABASE } from './database.ts'
import { type BlocksInUse, blockChecksums, blocksInUse } from './database-blocks.ts'
import { DatabaseWal } from './database-wal.ts'
import { blockManifest, copyOutOfTheWay, linkOrCopy } from './snapshot-files.ts'
import type { DuckDBSql } from './sql.ts'
import { isUntouched, markUntouched } from './untouched.ts'

/** A file to be patched is an option: beside it as much again stays free for what has to be written. */
const SPARE_ROOM = 2

/**
 * Publishes the states of a database at the price of what has changed. A version is a link to a base and a copy of the
 * WAL that has come since:
 *
 *   bases/1  ═ version 7 ═ version 8 ═ version 9             (═ a link: one file, many names)
 *   WAL           a          a b         a b c
 *   bases/2                                   ╎  ═ version 10 ═ version 11
 *   WAL                                       ╎         d            d e
 *                                             └ made behind version 9, which does not wait for it
 *
 * A new base is made behind a version, when the WAL has cost the readers as much as a base costs; or while nobody waits. It
 * is a clone where the file system can; else the file of a **retired** base, one that no version is a link to any more, to which
 * only those blocks are written that have changed in between. Where there is none yet, one is copied in the background.
 */
export class Bases {
  readonly #dir: string
  readonly #database: string
  readonly #wal: DatabaseWal
  readonly #price = new BasePrice()
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
  #renewing: Promise<void> = Promise.resolve()
  #sparing: Promise<void> | null = null
  /** There was no room for one: it is not tried again with each version, which others would go without room for. */
  #isWithoutSpare = false
  #made = 0

  private constructor(dir: string, database: string, isShared: boolean) {
    this.#dir = dir
    this.#database = database
    this.#wal = new DatabaseWal(database)
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
    this.#wal.forget()
    await this.#takeFirst()
    return (await this.#isBeyondWal()) || this.#price.isTooDear(await this.#wal.read())
  }

  /** Whether a new base is worth its making while nobody waits. */
  async isWorthwhile(): Promise<boolean> {
    this.#wal.forget()
    if (await this.#isBeyondWal()) return true
    return this.#price.isBaseWorthInQuiet(await this.#wal.read(), await this.#way())
  }

  /** Writes the present state into `dir`, synced. */
  async publish(dir: string): Promise<SnapshotFile[]> {
    if (!this.#current) throw new Error('there is no base yet')
    const { path, manifest, sha256 } = this.#current
    const base = { bytes: manifest.bytes, sha256 }
    const [, ...more] = await this.#retired()
    await this.#remove(more)
    const wal = await this.#wal.read()
    this.#wal.forget()
    if (wal.bytes.length === 0) {
      await linkOrCopy(path, join(dir, DATABASE))
      await syncPath(dir)
      return [{ name: DATABASE, ...base }]
    }
    this.#price.published(wal)
    if (this.#price.isSpareWorth(this.#older.length === 0)) this.#makeSpare()
    await linkOrCopy(path, join(dir, BASE))
    reach('duckdb.linked')
    await using copy = await open(join(dir, BASE_WAL), 'w')
    await copy.writeFile(wal.bytes)
    // Both at once are one commit of the file system's journal.
    await Promise.all([copy.sync(), syncPath(dir)])
    return [
      { name: BASE, ...base },
      { name: BASE_WAL, bytes: wal.bytes.length, sha256: hash('sha256', wal.bytes, 'hex') },
    ]
  }

  /**
   * Begins to make the state that was just published the base, where that is worth it: the version is on disk, and does not
   * wait for it. Nothing may be written to the database, nor published, before `renewed`.
   */
  renewBehind(sql: DuckDBSql): void {
    this.#renewing = this.#isWorthBehind().then(isWorth => (isWorth ? this.renew(sql) : undefined))
    // Whoever comes next is told.
    this.#renewing.catch(() => {})
  }

  /** @throws what was begun behind a version, and has failed: then nothing is known of the database */
  renewed(): Promise<void> {
    return this.#renewing
  }

  /** Makes the present state the base. Nothing may be written to the database meanwhile. */
  async renew(sql: DuckDBSql): Promise<void> {
    await sql.run('CHECKPOINT')
    reach('duckdb.checkpointed')
    this.#wal.forget()
    const used = await blocksInUse(this.#database)
    outdate(this.#all(), this.#used, used)
    this.#used = used
    const retired = await this.#retired()
    // Before one is written to: a copy of it that is under way is torn then, and must not count.
    this.#older = this.#older.filter(each => !retired.includes(each))
    const from = { like: this.#current, retired: retired[0] }
    const { base, changedBytes } = await makeBase(this.#database, this.#nextPath(), from)
    for (const each of retired) await rm(each.path, { force: true })
    this.#older = this.#all()
    this.#current = base
    if (this.#shared) await this.#remove([this.#shared])
    this.#shared = null
    await markUntouched(this.#database)
    this.#price.renewed({ bytes: base.manifest.bytes, changedBytes })
    this.#isWithoutSpare = false
  }

  /** Nothing of it is left at work. */
  async close(): Promise<void> {
    await this.#renewing.catch(() => {})
    await this.#sparing
  }

  /** Its bytes are looked at only when a version is made of it. */
  async #takeFirst(): Promise<void> {
    const path = this.#first
    if (path === null) return
    const manifest = this.#firstManifest ?? (await blockManifest(path))
    const base = baseOf(path, manifest, await blockChecksums(path))
    this.#current = this.#used ? base : { ...base, outdated: null }
    this.#price.renewed({ bytes: manifest.bytes, changedBytes: manifest.bytes })
    if (this.#isShared) this.#shared = this.#current
    this.#first = null
    this.#firstManifest = null
  }

  /**
   * Whether what has come since is more than its readers are to replay, or not in the WAL: a large append writes its rows to the
   * file itself, and only where they are into the WAL, which is worth nothing then with a base from before.
   */
  async #isBeyondWal(): Promise<boolean> {
    const [size, untouched] = await Promise.all([this.#wal.size(), isUntouched(this.#database)])
    return size > MOST_WAL_BYTES || this.#current === null || !untouched
  }

  async #isWorthBehind(): Promise<boolean> {
    const way = await this.#way()
    // It is not copied where there soon is a file to be patched.
    if (way === 'copy' && this.#current?.outdated && !this.#isWithoutSpare) return false
    return this.#price.isBaseWorth(way)
  }

  /** How a new base would be made. */
  async #way(): Promise<'patch' | 'copy'> {
    return (await this.#retired()).length > 0 ? 'patch' : 'copy'
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
      (await copyOutOfTheWay(like.path, path).then(
        () => true,
        () => false,
      ))
    if (!isCopied) this.#isWithoutSpare = true
    // One that was retired meanwhile may have been written to.
    if (isCopied && like.outdated && this.#all().includes(like))
      this.#older.push({ ...like, path, outdated: new Set(like.outdated) })
    else await rm(path, { force: true })
  }

  #nextPath(): string {
    this.#made += 1
    return join(this.#dir, `${this.#made}.duckdb`)
  }

  #all(): Base[] {
    return this.#current ? [this.#current, ...this.#older] : this.#older
  }

  async #retired(): Promise<Base[]> {
    const retired: Base[] = []
    for (const base of this.#older) if (await isRetired(base)) retired.push(base)
    return retired
  }

  async #remove(bases: readonly Base[]): Promise<void> {
    this.#older = this.#older.filter(each => !bases.includes(each))
    for (const { path } of bases) await rm(path, { force: true })
  }
}

async function hasRoom(dir: string, bytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(dir)
  return bavail * bsize >= bytes
}
