import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncPath } from '../../platform/sync-path.ts'
import { linkOrCopy } from '../duckdb/snapshot-files.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { checksum, type Seal } from './checksum.ts'
import { fileFrame, literalPath, rowsOfFrame } from './frames.ts'
import { KeyFilter, keyHashes } from './key-filter.ts'
import { extentOf, type KeyedTable, keyColumns } from './key-ranges.ts'
import type { TableFile } from './manifest.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { type Cells, setCells } from './set-cells.ts'

/** A table's file before it has been published. */
export type ScratchFile = Omit<TableFile, 'bytes' | 'sha256'>

/**
 * The files of a writer, in its folder: each is written once, and published as it is. Those that versions are made of are
 * links to them, so that they may be removed here at any time.
 */
export class ScratchFiles {
  readonly #dir: string
  /** Of those that are on disk: what a version says of them. */
  readonly #seals = new Map<string, Seal>()
  /** Of those in which keys had to be looked for. */
  readonly #filters = new Map<string, Promise<KeyFilter>>()
  #next = 1

  constructor(dir: string) {
    this.#dir = dir
  }

  path(name: string): string {
    return join(this.#dir, name)
  }

  /**
   * Writes the frame, which has the table's columns, as a file; null where it has no rows. Nothing is synced yet.
   * @param known its rows and ranges, where these need not be found out
   */
  async write(
    table: KeyedTable,
    frame: LazyDataFrame,
    known?: Pick<ScratchFile, 'rows' | 'ranges'>,
  ): Promise<ScratchFile | null> {
    const name = this.#name(table)
    const path = this.path(name)
    const columns = [...table.columns.values()]
    await frame
      .select(columns.map(({ name }) => pl.col(name)))
      .sinkIpc(path, { compression: 'uncompressed', maintainOrder: true })
      .collect()
    const { rows, ranges = {} } = known ?? (await extentOf(table, fileFrame(columns, {}, path)))
    if (rows > 0) return { name, rows, ...(Object.keys(ranges).length > 0 ? { ranges } : {}) }
    await rm(path)
    return null
  }

  /** Writes a file anew with cells set in those rows; null where it has to be written as a frame. Nothing is synced yet. */
  async withCells(table: KeyedTable, file: ScratchFile, rows: Uint32Array, cells: Cells): Promise<ScratchFile | null> {
    const name = this.#name(table)
    if (!(await setCells(this.path(file.name), this.path(name), rows, cells))) return null
    // Of its keys none is set.
    const filter = this.#filters.get(file.name)
    if (filter) this.#filters.set(name, filter)
    return { ...file, name }
  }

  #name({ name }: KeyedTable): string {
    return `${name}.${this.#next++}.arrow`
  }

  /** Streams a frame of keys into a file that is no table's, and gone with the next sweep. */
  async aside(keys: LazyDataFrame): Promise<{ rows: number; keys: LazyDataFrame }> {
    const path = this.path(`keys.${this.#next++}.arrow`)
    await keys.sinkIpc(path, { compression: 'uncompressed', maintainOrder: false }).collect()
    const written = pl.scanIPC(literalPath(path))
    return { rows: await rowsOfFrame(written), keys: written }
  }

  /**
   * Takes over a file of a version, which is read to see that it is sound: what is built on it would be sound data for ever.
   * @throws SnapshotDamaged
   */
  async adopt({ bytes, sha256, ...file }: TableFile, from: string): Promise<ScratchFile> {
    const found = await checksum(from)
    if (found.sha256 !== sha256) throw new SnapshotDamaged(`the version's file ${file.name} is damaged`)
    await linkOrCopy(from, this.path(file.name))
    this.#seals.set(file.name, { bytes, sha256 })
    this.#next = Math.max(this.#next, 1 + Number(/\.(\d+)\.arrow$/.exec(file.name)?.[1] ?? 0))
    return file
  }

  /** By what keys may be in the file; it is made when it is first asked for. */
  filter(table: KeyedTable, file: ScratchFile): Promise<KeyFilter> {
    const make = async () =>
      new KeyFilter(await keyHashes(table, fileFrame(keyColumns(table), file, this.path(file.name))))
    const filter = this.#filters.get(file.name) ?? make()
    this.#filters.set(file.name, filter)
    return filter
  }

  /** Brings the file to disk, and says what it is from then on. */
  async seal(file: ScratchFile): Promise<TableFile> {
    const path = this.path(file.name)
    let seal = this.#seals.get(file.name)
    if (!seal) {
      // What is read for the checksum is in memory, whether it is on the disk by then or not.
      const [found, synced] = await Promise.allSettled([checksum(path), syncPath(path)])
      if (found.status === 'rejected') throw found.reason
      if (synced.status === 'rejected') throw synced.reason
      seal = found.value
      this.#seals.set(file.name, seal)
    }
    return { ...file, ...seal }
  }

  /** Links the file into the folder of a version. */
  async publish(file: ScratchFile, dir: string): Promise<TableFile> {
    const sealed = await this.seal(file)
    await linkOrCopy(this.path(file.name), join(dir, file.name))
    return sealed
  }

  /** Removes all files but those. */
  async sweep(kept: Iterable<ScratchFile>): Promise<void> {
    const names = new Set([...kept].map(({ name }) => name))
    for (const name of await readdir(this.#dir)) {
      if (!name.endsWith('.arrow') || names.has(name)) continue
      await rm(this.path(name), { force: true })
      this.#seals.delete(name)
      this.#filters.delete(name)
    }
  }
}
