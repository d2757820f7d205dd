import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { exportFile } from '../../src/engine/duckdb/clean-file.ts'
import { blockManifest } from '../../src/engine/duckdb/snapshot-files.ts'
import type { BlockManifest } from '../../src/engine/engine.ts'
import { SnapshotDamaged } from '../../src/engine/snapshot-damaged.ts'
import { SnapshotMissing } from '../../src/engine/snapshot-missing.ts'
import { openWalDatabase, type WalDatabase } from '../support/base-and-wal.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-clean-'))
})
afterEach(() => rm(dir, { recursive: true }))

const folder = async (name: string) => {
  const path = join(dir, name)
  await mkdir(path)
  return path
}
const rows = (from: number, to: number) =>
  `INSERT INTO sales SELECT 'O' || i, DATE '2020-01-01' + (i % 1000)::INTEGER, (i * 0.37)::DECIMAL(18,4), md5(i::VARCHAR)
     FROM range(${from}, ${to}) AS t (i)`
const version = (number: number) => `UPDATE _teatree.state SET version = ${number}, last_seq = ${number}`
const TABLES = [
  'CREATE TABLE sales (orderId VARCHAR NOT NULL, date DATE, amount DECIMAL(18,4), note VARCHAR)',
  'CREATE SCHEMA _teatree',
  'CREATE TABLE _teatree.state (version INTEGER NOT NULL, last_seq BIGINT NOT NULL, shape VARCHAR NOT NULL)',
  `INSERT INTO _teatree.state VALUES (1, 1, '{}')`,
]
const open = (count: number): Promise<WalDatabase> => openWalDatabase(dir, { fill: [...TABLES, rows(0, count)] })

async function clean(files: Readonly<Record<string, string>>, name: string, version = 2) {
  const to = join(await folder(name), 'model.duckdb')
  return { to, manifest: await exportFile({ version, files }, to) }
}

async function query(path: string, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRows()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
const STATE =
  'SELECT version, last_seq::INTEGER, (SELECT count(*)::INTEGER FROM sales), (SELECT sum(amount)::VARCHAR FROM sales) FROM _teatree.state'

const changed = (before: BlockManifest, after: BlockManifest) =>
  after.blocks.filter((block, index) => block !== before.blocks[index]).length

test('a base and its WAL become one file that holds all of both, and leave no WAL', async () => {
  using database = await open(1000)
  const files = await database.publish(
    await folder('v2'),
    rows(1000, 1010),
    'DELETE FROM sales WHERE orderId = $$O7$$',
    version(2),
  )
  const before = await Promise.all(Object.values(files).map(path => readFile(path)))
  const { to, manifest } = await clean(files, 'clean')
  expect(await readdir(join(dir, 'clean'))).toEqual(['model.duckdb'])
  expect(manifest).toEqual(await blockManifest(to))
  expect(await query(to, STATE)).toEqual([[2, 2, 1009, (((1009 * 1010) / 2 - 7) * 0.37).toFixed(4)]])
  // what was published stays as it is
  expect(await Promise.all(Object.values(files).map(path => readFile(path)))).toEqual(before)
})

test('versions that differ in a few rows differ in a few blocks, which stay where they are', async () => {
  using database = await open(1_000_000)
  const manifests: BlockManifest[] = []
  for (const number of [2, 3, 4]) {
    const files = await database.publish(
      await folder(`v${number}`),
      rows(number * 1_000_000, number * 1_000_000 + 10),
      version(number),
    )
    const { to, manifest } = await clean(files, `clean${number}`, number)
    expect(await query(to, 'SELECT count(*)::INTEGER FROM sales')).toEqual([[1_000_000 + (number - 1) * 10]])
    manifests.push(manifest)
  }
  const base = await blockManifest(join(dir, 'v2', 'base.duckdb'))
  expect(base.bytes).toBeGreaterThan(20_000_000)
  for (const [index, manifest] of manifests.entries())
    expect(changed(index === 0 ? base : (manifests[index - 1] as BlockManifest), manifest)).toBeLessThan(8)
})

test('made twice it holds the same rows', async () => {
  using database = await open(10_000)
  const files = await database.publish(await folder('v2'), rows(10_000, 10_100), version(2))
  const [one, other] = [await clean(files, 'one'), await clean(files, 'other')]
  expect(await query(one.to, STATE)).toEqual(await query(other.to, STATE))
  expect(changed(one.manifest, other.manifest)).toBeLessThan(3)
})

test('a version that is one file, or a base without a WAL, is that file under another name', async () => {
  using database = await open(1000)
  const files = await database.publish(await folder('v2'), version(2))
  const base = files['base.duckdb'] ?? ''
  for (const [index, of] of [{ 'model.duckdb': base }, { 'base.duckdb': base }].entries()) {
    const { to, manifest } = await clean(of, `clean${index}`)
    expect((await stat(to)).ino).toBe((await stat(base)).ino)
    expect(manifest).toEqual(await blockManifest(base))
  }
})

test('files that are gone, and a WAL that cannot be read, are told apart, and end nobody', async () => {
  using database = await open(1000)
  const files = await database.publish(await folder('v2'), rows(1000, 2000), version(2))
  await expect(clean({ 'model.duckdb': join(dir, 'nothing') }, 'gone')).rejects.toBeInstanceOf(SnapshotMissing)
  const wal = files['base.duckdb.wal'] ?? ''
  await expect(clean({ ...files, 'base.duckdb.wal': join(dir, 'nothing') }, 'gone2')).rejects.toBeInstanceOf(
    SnapshotMissing,
  )
  // DuckDB takes a WAL as far as it goes
  await truncate(wal, (await stat(wal)).size - 10)
  await expect(clean(files, 'cut')).rejects.toMatchObject({ cause: expect.stringContaining('do not hold version 2') })
  await truncate(files['base.duckdb'] ?? '', 100)
  await expect(clean(files, 'broken')).rejects.toThrow('the file could not be made')
  await writeFile(wal, 'no WAL at all')
  await expect(clean(files, 'broken2')).rejects.toThrow('the file could not be made')
})

test('files that are not what their checksums say are not taken, and it does not take for ever', async () => {
  using database = await open(10_000)
  const files = await database.publish(await folder('v2'), rows(10_000, 10_100), version(2))
  const { blocks } = await blockManifest(files['base.duckdb'] ?? '')
  const checksums = { 'base.duckdb': manifestDigest(blocks) }
  const to = async (name: string) => join(await folder(name), 'model.duckdb')
  await exportFile({ version: 2, files, checksums }, await to('sound'))
  await expect(exportFile({ version: 2, files, checksums }, await to('late'), { least: 0, byte: 0 })).rejects.toThrow(
    'could not be made',
  )
  const wrong = { ...checksums, 'base.duckdb.wal': manifestDigest([]) }
  await expect(exportFile({ version: 2, files, checksums: wrong }, await to('wal'))).rejects.toThrow(SnapshotDamaged)
  const bytes = await readFile(files['base.duckdb'] ?? '')
  bytes.writeUInt8(bytes.readUInt8(20_000) ^ 1, 20_000)
  await writeFile(files['base.duckdb'] ?? '', bytes)
  await expect(exportFile({ version: 2, files, checksums }, await to('base'))).rejects.toThrow(SnapshotDamaged)
  const single = { 'model.duckdb': files['base.duckdb'] ?? '' }
  await expect(
    exportFile({ version: 2, files: single, checksums: { 'model.duckdb': manifestDigest(blocks) } }, await to('one')),
  ).rejects.toThrow(SnapshotDamaged)
})
