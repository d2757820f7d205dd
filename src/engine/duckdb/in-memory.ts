import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { machineMemory } from './machine-memory.ts'
import { DuckDBSql, literal } from './sql.ts'

/**
 * Does the work in a DuckDB of its own that holds nothing.
 * @param spill a folder for what does not fit into memory; without it little is read
 */
export async function inMemory<T>(
  spill: string | null,
  use: (sql: DuckDBSql, connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: spill === null ? '1' : '2',
    memory_limit: `${Math.ceil(machineMemory() / 4 / 1024)}KiB`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  const connection = await instance.connect()
  try {
    const sql = new DuckDBSql(connection)
    await sql.run(`SET TimeZone = 'UTC'; SET temp_directory = ${literal(spill ?? '')}`)
    return await use(sql, connection)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
