import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { attach } from '../attach.ts'
import { emptyTables, type SnapshotTables, snapshotTables } from '../snapshot-tables.ts'
import { DuckDBSql, literal } from '../sql.ts'
import type { QuerySnapshot } from './messages.ts'

const ALIAS = 'snapshot'

/** One version in a DuckDB of its own that can reach nothing else, for good. */
export class LockedSnapshot {
  readonly #instance: DuckDBInstance
  readonly tables: SnapshotTables

  private constructor(instance: DuckDBInstance, tables: SnapshotTables) {
    this.#instance = instance
    this.tables = tables
  }

  /** @param limits `folder` is the one place where a result can be written */
  static async open(
    { shape, tables, files }: QuerySnapshot,
    { folder, memory, threads }: { folder: string; memory: string; threads: string },
  ): Promise<LockedSnapshot> {
    const kind = {
      shape,
      tables: new Map(
        tables.map(({ name, columns }) => [
          name,
          { name, columns: new Map(columns.map(column => [column.name, column])) },
        ]),
      ),
    }
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
      const isEmpty = Object.keys(files).length === 0
      const found = isEmpty
        ? await emptyTables(sql, kind, ALIAS)
        : await snapshotTables(sql, kind, ALIAS, (await attach(sql, files, ALIAS)).shape)
      await sql.run(
        `SET GLOBAL TimeZone = 'UTC';
         SET GLOBAL allowed_directories = [${literal(`${folder}/`)}];
         SET GLOBAL enable_external_access = false;
         SET GLOBAL lock_configuration = true`,
      )
      connection.closeSync()
      return new LockedSnapshot(instance, found)
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
