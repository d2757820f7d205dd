import type { Kind } from '../../kinds/kind.ts'
import type { SnapshotFiles } from '../engine.ts'
import { columnsLacked } from '../older-shapes.ts'
import { type PlanRead, tableRead } from '../plan-reads.ts'
import { tableOf } from '../plan-tables.ts'
import type { FileChecks } from './file-checks.ts'
import { filesOfPage, mayHold } from './file-pruning.ts'
import { tableFrame } from './frames.ts'
import type { ArrowVersion, TableFile } from './manifest.ts'
import type { LazyDataFrame } from './polars.ts'
import type { Asking, Frames } from './where.ts'

/** The tables of one version as the kind knows them today: a column or table that the version lacks reads as null or empty. */
export class VersionTables implements Frames {
  readonly kind: Kind
  readonly #files: ReadonlyMap<string, readonly TableFile[]>
  readonly #pathOf: (name: string) => string
  /** All files of the version, whatever is asked of them. */
  readonly filesByName: SnapshotFiles
  readonly #checks: FileChecks

  /**
   * @param version null of version 0, which has no files
   * @throws TeatreeError KIND_CHANGED where a column cannot be read as what it is now
   */
  constructor(kind: Kind, version: ArrowVersion | null, checks: FileChecks) {
    this.kind = kind
    this.#checks = checks
    this.#files = new Map([...kind.tables.keys()].map(name => [name, version ? filesOf(kind, version, name) : []]))
    this.filesByName = version?.files ?? {}
    this.#pathOf = name => version?.files[name] ?? ''
  }

  frame(name: string, some?: Asking): LazyDataFrame {
    return this.frameOf(name, some ? this.#filesOf(name, some) : this.files(name))
  }

  /** The files in which there may be rows of its table that the read asks for. */
  filesFor(read: PlanRead): readonly TableFile[] {
    if (read.is === 'rows by keys') return this.files(read.table)
    const where = 'plan' in read ? read.plan.where : read.where
    return this.#filesOf(tableRead(read), read.is === 'rows' ? { is: 'page', plan: read.plan } : { is: 'where', where })
  }

  #filesOf(name: string, some: Asking): readonly TableFile[] {
    const table = tableOf(this.kind, name)
    const files = this.files(name)
    return some.is === 'page'
      ? filesOfPage(table, files, some.plan)
      : files.filter(file => mayHold(table, file, some.where))
  }

  /** Of some of its files. */
  frameOf(table: string, files: readonly TableFile[]): LazyDataFrame {
    return tableFrame([...tableOf(this.kind, table).columns.values()], files, this.#pathOf)
  }

  files(table: string): readonly TableFile[] {
    return this.#files.get(table) ?? []
  }

  path(file: TableFile): string {
    return this.#pathOf(file.name)
  }

  rows(table: string): number {
    return this.files(table).reduce((sum, { rows }) => sum + rows, 0)
  }

  /** Of tables that are about to be read. @throws SnapshotDamaged, SnapshotMissing */
  async check(tables: Iterable<string>): Promise<void> {
    for (const table of tables) for (const file of this.files(table)) await this.#checks.check(this.path(file), file)
  }
}

function filesOf(kind: Kind, { manifest }: ArrowVersion, name: string): TableFile[] {
  const lacked = columnsLacked(tableOf(kind, name), manifest.shape)
  if (lacked === null) return []
  return (manifest.tables[name] ?? []).map(file =>
    lacked.size === 0 ? file : { ...file, lacks: [...new Set([...(file.lacks ?? []), ...lacked])] },
  )
}
