import { readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { BLOCK_BYTES, HEADER_BYTES } from './snapshot-files.ts'
import type { DuckDBSql } from './sql.ts'

/** The blocks of a database's file that hold something, by their places in it. */
export interface BlocksInUse {
  all: ReadonlySet<number>
  /** Those that a checkpoint may write again where they are; every other it writes to a place that was free. */
  metadata: ReadonlySet<number>
}

/**
 * Which blocks are in use, as of the last checkpoint; null where what was found is not as many as the database counts,
 * so that nothing can be concluded from it. Costs milliseconds for a hundred megabytes.
 */
export async function blocksInUse(sql: DuckDBSql): Promise<BlocksInUse | null> {
  const tables = await sql.all(
    `SELECT format('{}.{}', '"' || replace(schema_name, '"', '""') || '"', '"' || replace(table_name, '"', '""') || '"') AS name
       FROM duckdb_tables() WHERE database_name = current_database()`,
  )
  const all = new Set<number>()
  for (const { name } of tables) {
    const blocks = await sql.all(
      `WITH segment AS (SELECT block_id, additional_block_ids FROM pragma_storage_info($name) WHERE persistent)
       SELECT block_id AS block FROM segment UNION SELECT unnest(additional_block_ids) FROM segment`,
      { name: String(name) },
    )
    // A segment of a single value needs no block, and is given -1.
    for (const { block } of blocks) if (Number(block) >= 0) all.add(Number(block))
  }
  const metadata = new Set<number>()
  for (const { block } of await sql.all('SELECT block_id AS block FROM pragma_metadata_info()')) {
    metadata.add(Number(block))
    all.add(Number(block))
  }
  const [size] = await sql.all(
    'SELECT used_blocks AS used FROM pragma_database_size() WHERE database_name = current_database()',
  )
  return Number(size?.used) === all.size ? { all, metadata } : null
}

/**
 * The checksum that each block begins with, 8 bytes a block, in their order. It is the same for a block whose words stand
 * in another order, so it can tell that blocks differ, and never that they are the same.
 */
export async function blockChecksums(path: string): Promise<Buffer> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const sums = Buffer.alloc(Math.max(0, Math.ceil((size - HEADER_BYTES) / BLOCK_BYTES)) * 8)
  // Thousands of reads of 8 bytes: by way of the thread pool they take 30 times as long.
  for (let at = 0; at < sums.length; at += 8) readSync(file.fd, sums, at, 8, HEADER_BYTES + (at / 8) * BLOCK_BYTES)
  return sums
}
