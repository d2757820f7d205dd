import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DuckDBSql, literal } from '../../src/engine/duckdb/sql.ts'
import type { Readers } from '../../src/engine/engine.ts'
import type { Row } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

describe.each(engines)('$name', engine => {
  let folder: TestFolder
  let readers: Readers
  beforeAll(async () => {
    folder = await testFolder(engine)
    readers = await engine.startReaders()
  })
  afterAll(async () => {
    await readers.close()
    await folder[Symbol.asyncDispose]()
  })

  const row: Row = {
    name: "n'",
    batch: null,
    note: '',
    boxes: -2147483648,
    code: '9223372036854775807',
    amount: '-99999999999999.9999',
    weight: '9999999999999999999999999999.9999999999',
    sugar: 5e-324,
    sold: true,
    day: '0001-01-01',
    weighedAt: '9999-12-31T23:59:59.999999Z',
    field: 1,
    part: null,
    growerId: '\u{1F600}',
  }

  async function inParquet<T>(work: (sql: DuckDBSql) => Promise<T>): Promise<T> {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      return await work(new DuckDBSql(connection))
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }

  test("a table becomes one Parquet file of the kind's columns and types, to the last digit", async () => {
    const files = await folder.snapshot(orchard, { harvests: [row, { ...row, batch: 2 }] })
    const reader = await readers.open({ kind: orchard, files })
    const dir = join(folder.path, "it's here")
    await mkdir(dir)
    const path = join(dir, 'harvests.parquet')
    const written = await reader.exportParquet({ table: 'harvests' }, path)
    expect(written).toEqual({ rows: 2, bytes: (await stat(path)).size })
    await reader.exportParquet({ table: 'plots' }, join(dir, 'plots.parquet'))
    expect((await readdir(dir)).sort()).toEqual(['harvests.parquet', 'plots.parquet'])
    await inParquet(async sql => {
      const columns = await sql.all(`DESCRIBE SELECT * FROM ${literal(path)}`)
      expect(columns.map(({ column_name, column_type }) => [column_name, column_type])).toEqual(
        [...(orchard.tables.get('harvests')?.columns.values() ?? [])].map(({ name, type }) => [name, type]),
      )
      expect(await sql.all(`SELECT * FROM ${literal(path)} ORDER BY batch NULLS FIRST LIMIT 1`)).toEqual([row])
      expect(await sql.all(`SELECT * FROM ${literal(join(dir, 'plots.parquet'))}`)).toEqual([])
      const codecs = await sql.all(`SELECT DISTINCT compression FROM parquet_metadata(${literal(path)})`)
      expect(codecs).toEqual([{ compression: 'ZSTD' }])
    })
    await reader.close()
  })

  test('an export that fails leaves nothing behind', async () => {
    const reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, { harvests: [row] }) })
    const dir = join(folder.path, 'taken')
    // A folder of that name cannot be replaced by a file.
    await mkdir(join(dir, 'harvests.parquet', 'full'), { recursive: true })
    await expect(reader.exportParquet({ table: 'harvests' }, join(dir, 'harvests.parquet'))).rejects.toThrow()
    expect(await readdir(dir)).toEqual(['harvests.parquet'])
    await expect(
      reader.exportParquet({ table: 'harvests' }, join(folder.path, 'nowhere', 'a.parquet')),
    ).rejects.toThrow()
    await reader.close()
  })

  test('an export that nobody waits for any more ends, and leaves nothing behind', async () => {
    const reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, { harvests: [row] }) })
    const dir = join(folder.path, 'given up')
    await mkdir(dir)
    const over = new AbortController()
    const exporting = reader.exportParquet({ table: 'harvests' }, join(dir, 'harvests.parquet'), over.signal)
    over.abort(new Error('gone'))
    await expect(exporting).rejects.toThrow('gone')
    expect(await readdir(dir)).toEqual([])
    await reader.close()
  })
})
