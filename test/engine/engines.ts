import { randomUUID } from 'node:crypto'
import { DuckDBInstance } from '@duckdb/node-api'
import { leaving, rowsOf as rowsOfFrame } from '../../src/engine/arrow/columns.ts'
import { tableFrame } from '../../src/engine/arrow/frames.ts'
import { openVersion } from '../../src/engine/arrow/manifest.ts'
import pl from '../../src/engine/arrow/polars.ts'
import { ArrowReaders } from '../../src/engine/arrow/readers.ts'
import { restoreModel as restoreArrow } from '../../src/engine/arrow/restore.ts'
import { openArrowWriter } from '../../src/engine/arrow/writer.ts'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import { restoreModel as restoreDuckDB } from '../../src/engine/duckdb/restore.ts'
import { DuckDBSql, literal, quoted } from '../../src/engine/duckdb/sql.ts'
import { type DuckDBWriterOptions, openDuckDBWriter } from '../../src/engine/duckdb/writer.ts'
import type { Engine, Readers, SnapshotFiles, Writer } from '../../src/engine/engine.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'

/** An engine as tests use it. */
export interface TestEngine {
  name: EngineName
  startReaders(...limits: Parameters<typeof DuckDBReaders.start>): Promise<Readers>
  openWriter(options: DuckDBWriterOptions): Promise<Writer>
  restore: Engine['restore']
  /** The rows of a table of a version, by key, nulls last; read from its files here, past the engine's readers. */
  rows(files: SnapshotFiles, kind: Kind, table: string): Promise<Row[]>
}

const duckdb: TestEngine = {
  name: 'DUCKDB',
  startReaders: (...limits) => DuckDBReaders.start(...limits),
  openWriter: openDuckDBWriter,
  restore: restoreDuckDB,
  rows: (files, kind, table) => {
    const key = kind.tables.get(table)?.key.map(name => `${quoted(name)} NULLS LAST`) ?? []
    return querySnapshot(files, `SELECT * FROM ${quoted(table)} ORDER BY ${key.join(', ')}`)
  },
}

const arrow: TestEngine = {
  name: 'ARROW',
  startReaders: (...limits) => ArrowReaders.start(...limits),
  openWriter: openArrowWriter,
  restore: restoreArrow,
  rows: async (files, kind, table) => {
    const { manifest } = await openVersion(files)
    const stored = Object.keys(manifest.shape[table]?.columns ?? {})
    const columns = [...(kind.tables.get(table)?.columns.values() ?? [])].filter(({ name }) => stored.includes(name))
    const frame = tableFrame(columns, manifest.tables[table] ?? [], name => files[name] ?? '')
    const key = kind.tables.get(table)?.key.map(name => pl.col(name)) ?? []
    return rowsOfFrame(await frame.sort(key, false, true).select(leaving(columns)).collect())
  },
}

/** Every engine that there is, for `describe.each`: a suite of behaviour runs over all. */
export const engines: readonly TestEngine[] = [duckdb, arrow]
export { arrow, duckdb }

let shared: Promise<DuckDBInstance> | undefined

/** What a version answers by its files, which are open for so long; in an instance that is there, as to make one takes far longer. */
export async function querySnapshot(files: SnapshotFiles, text: string): Promise<Row[]> {
  shared ??= DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await (await shared).connect()
  const sql = new DuckDBSql(connection)
  const name = quoted(randomUUID())
  try {
    await sql.run(`ATTACH ${literal(databaseOf(files))} AS ${name} (READ_ONLY)`)
    try {
      await sql.run(`USE ${name}`)
      return await sql.all(text)
    } finally {
      await sql.run(`USE memory; DETACH ${name}`)
    }
  } finally {
    connection.closeSync()
  }
}
