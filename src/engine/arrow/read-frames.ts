import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadFrames } from '../../kinds/frames.ts'
import type { Column, Kind, Kinds, Table } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { exportColumns } from '../duckdb/exports/columns-export.ts'
import type { SnapshotRef } from '../engine.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { SnapshotDamaged, SourceDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { polarsType } from './columns.ts'
import type { FileChecks } from './file-checks.ts'
import { literalPath } from './frames.ts'
import { isOnArrow, openVersion } from './manifest.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { bytesOfColumns } from './read-bytes.ts'
import { VersionTables } from './version-tables.ts'

export interface SourcesContext {
  kinds: Kinds
  /** For files on the way. */
  dir: string
  checks: FileChecks
  signal: AbortSignal
}

/** Columns of a table, how many rows there are, and how many bytes these may take in memory. */
export interface ReadTable {
  frame: LazyDataFrame
  rows: number
  bytes: number
}

/**
 * Versions of other models as frames: files of Arrow are mapped as they are, of a version on DuckDB the columns that are
 * asked for become a Parquet file, once, which is gone when this is disposed of.
 */
export class ReadSources implements AsyncDisposable {
  readonly #context: SourcesContext
  readonly #refs: readonly SnapshotRef[]
  readonly #tables = new Map<SnapshotRef, Promise<VersionTables>>()
  readonly #exports = new Map<string, Promise<ReadTable>>()
  #folder: Promise<string> | undefined

  constructor(context: SourcesContext, refs: readonly SnapshotRef[]) {
    this.#context = context
    this.#refs = refs
  }

  /**
   * As functions get them.
   * @param known makes of what is known of each the frame that they get
   * @throws TeatreeError UNKNOWN_KIND
   */
  frames(known: (table: ReadTable) => LazyDataFrame): ReadFrames[] {
    return this.#refs.map(ref => {
      const { alias, model, version } = ref
      const kind = this.#kindOf(ref)
      return {
        alias,
        model,
        kind: kind.name,
        version,
        table: async (name, columns) => known(await this.#table(ref, kind, tableOf(kind, name), columns)),
      }
    })
  }

  /** Why something went wrong that read them: SourceDamaged where the files of one are not there any more. */
  async causeOf(error: unknown): Promise<unknown> {
    if (error instanceof TeatreeError || error instanceof SourceDamaged) return error
    for (const ref of this.#refs.filter(isOnArrow)) {
      try {
        await openVersion(ref.files)
      } catch (cause) {
        return isOfFiles(cause) ? new SourceDamaged(ref, cause) : error
      }
    }
    return error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#exports.values())
    // Who asked for it was told where it could not be made.
    const folder = await this.#folder?.catch(() => undefined)
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  #kindOf(ref: SnapshotRef): Kind {
    const kind = this.#context.kinds.get(ref.kind)
    if (kind) return kind
    const what = `model ${ref.model} is of kind ${ref.kind}, which this server does not know`
    throw new TeatreeError('UNKNOWN_KIND', what)
  }

  async #table(ref: SnapshotRef, kind: Kind, table: Table, names: readonly string[]): Promise<ReadTable> {
    const columns = names.map(name => columnOf(table, name))
    if (ref.version > 0 && !isOnArrow(ref)) return this.#exported(ref, table, columns)
    try {
      const tables = await this.#versionOf(ref, kind)
      await tables.check([table.name])
      const frame = tables.frame(table.name).select(names.map(name => pl.col(name)))
      const rows = tables.rows(table.name)
      return { frame, rows, bytes: bytesOfColumns(table, names, rows) }
    } catch (error) {
      throw isOfFiles(error) ? new SourceDamaged(ref, error) : error
    }
  }

  #versionOf(ref: SnapshotRef, kind: Kind): Promise<VersionTables> {
    const open = async () => {
      // Version 0 has no files, and is empty.
      const version = ref.version === 0 ? null : await openVersion(ref.files)
      if (version && version.manifest.version !== ref.version) throw new SourceDamaged(ref)
      return new VersionTables(kind, version, this.#context.checks)
    }
    const opened = this.#tables.get(ref) ?? open()
    this.#tables.set(ref, opened)
    return opened
  }

  #exported(ref: SnapshotRef, table: Table, columns: readonly Column[]): Promise<ReadTable> {
    const names = columns.map(({ name }) => name)
    const make = async () => {
      const { kinds, dir, signal } = this.#context
      this.#folder ??= mkdir(dir, { recursive: true }).then(() => mkdtemp(join(dir, 'reads-')))
      const folder = await mkdtemp(join(await this.#folder, 'table-'))
      const path = join(folder, 'columns.parquet')
      const rows = await exportColumns({ ref, kinds, table: table.name, columns: names }, path, {
        spill: folder,
        signal,
      })
      const typed = columns.map(({ name, type }) => pl.col(name).cast(polarsType(type), true))
      const frame = pl.scanParquet(literalPath(path)).select(typed)
      return { frame, rows, bytes: bytesOfColumns(table, names, rows) }
    }
    const key = JSON.stringify([ref.alias, table.name, names])
    const made = this.#exports.get(key) ?? make()
    this.#exports.set(key, made)
    return made
  }
}

const isOfFiles = (error: unknown): boolean =>
  !(error instanceof SourceDamaged) && (error instanceof SnapshotDamaged || error instanceof SnapshotMissing)
