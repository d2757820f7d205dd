import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { ReadModel } from '../../../kinds/context.ts'
import { attach } from '../attach.ts'
import { parquetSelect } from '../parquet-tables.ts'
import { emptyTables, type SnapshotTables, snapshotTables, viewsOf } from '../snapshot-tables.ts'
import { DuckDBSql, literal } from '../sql.ts'
import type { QueryJob, QuerySnapshot, QuerySource } from './messages.ts'

const ALIAS = 'snapshot'

/** One version, and those of other models that are read with it, in a DuckDB of its own that can reach nothing else, for good. */
export class LockedSnapshot {
  readonly #instance: DuckDBInstance
  readonly tables: SnapshotTables
  readonly reads: readonly ReadModel[]

  private constructor(instance: DuckDBInstance, tables: SnapshotTables, reads: readonly ReadModel[]) {
    this.#instance = instance
    this.tables = tables
    this.reads = reads
  }

  /** @param limits `folder` is the one place where a result can be written */
  static async open(
    { snapshot, reads }: Pick<QueryJob, 'snapshot' | 'reads'>,
    { folder, memory, threads }: { folder: string; memory: string; threads: string },
  ): Promise<LockedSnapshot> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads,
      memory_limit: memory,
      // What it would spill is bounded by nothing.
      temp_directory: '',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
    })
    try {
      const connection = await instance.connect()
      const sql = new DuckDBSql(connection)
      const tables = await openTables(sql, snapshot, ALIAS)
      const models: ReadModel[] = []
      for (const [index, read] of reads.entries())
        models.push(readModel(read, await openTables(sql, read.snapshot, `${ALIAS} of read ${index + 1}`)))
      await sql.run(
        `SET GLOBAL TimeZone = 'UTC';
         SET GLOBAL allowed_directories = [${literal(`${folder}/`)}];
         SET GLOBAL allowed_paths = [${[snapshot, ...reads.map(read => read.snapshot)].flatMap(pathsOf).map(literal).join(', ')}];
         SET GLOBAL enable_external_access = false;
         SET GLOBAL lock_configuration = true`,
      )
      connection.closeSync()
      return new LockedSnapshot(instance, tables, models)
    } catch (error) {
      instance.closeSync()
      throw error
    }
  }

  /** Does the work on a connection of its own, to which the tables are known by their names alone. */
  async use<T>(work: (connection: DuckDBConnection, sql: DuckDBSql) => Promise<T>): Promise<T> {
    const connection = await this.#instance.connect()
    try {
      const sql = new DuckDBSql(connection)
      await sql.run(`USE ${this.tables.schema}`)
      return await work(connection, sql)
    } finally {
      connection.closeSync()
    }
  }

  close(): void {
    this.#instance.closeSync()
  }
}

/** A database is open by the time that the doors are closed; Parquet files are opened by each statement that reads them. */
const pathsOf = ({ parquets = {} }: QuerySnapshot): string[] => Object.values(parquets).flat()

/** Attaches a version as `alias`, as its kind is today. */
function openTables(
  sql: DuckDBSql,
  { shape, tables, files, parquets }: QuerySnapshot,
  alias: string,
): Promise<SnapshotTables> {
  const columnsOf = (columns: QuerySnapshot['tables'][number]['columns']) =>
    new Map(columns.map(column => [column.name, column]))
  const kind = {
    shape,
    tables: new Map(tables.map(({ name, columns }) => [name, { name, columns: columnsOf(columns) }])),
  }
  if (parquets) return viewsOf(sql, kind, alias, table => parquetSelect(table, parquets[table.name] ?? []))
  const isEmpty = Object.keys(files).length === 0
  if (isEmpty) return emptyTables(sql, kind, alias)
  return attach(sql, files, alias).then(stored => snapshotTables(sql, kind, alias, stored.shape))
}

/** How a query function knows a version of another model. */
function readModel({ alias, model, version, snapshot }: QuerySource, tables: SnapshotTables): ReadModel {
  const { kind } = snapshot
  const table = (name: string) => {
    if (!snapshot.tables.some(each => each.name === name)) throw new Error(`kind ${kind} has no table ${name}`)
    return tables.table(name)
  }
  return { alias, model, kind, version, table }
}
