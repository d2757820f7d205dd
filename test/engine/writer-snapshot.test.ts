import { createHash } from 'node:crypto'
import { appendFile, mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import { blockManifest, copyWithManifest } from '../../src/engine/duckdb/snapshot-files.ts'
import type { Change, SnapshotFiles } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { KindDefinition } from '../../src/kinds/definition.ts'
import { defineKind } from '../../src/kinds/index.ts'
import type { Row } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { querySnapshot, refusedWith, resultOf, rowsOf, WriterModel } from './writer-model.ts'

const definition = {
  name: 'garage',
  description: 'Cars and where they stand',
  engines: ['DUCKDB'],
  tables: {
    cars: {
      row: 'Car',
      description: 'Cars',
      columns: { plate: 'VARCHAR', seats: 'INTEGER?', price: 'DECIMAL(9,2)?' },
      key: ['plate'],
      writes: ['append', 'upsert', 'update', 'delete', 'import'],
    },
  },
} satisfies KindDefinition
const garage = checkKind(defineKind(definition))

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')
const car = (plate: string, more: Row = {}): Row => ({ plate, seats: 4, price: '9.50', ...more })

describe('a snapshot', () => {
  test('says what is in it, and is the file that its checksum says', async () => {
    await using model = await WriterModel.open(garage)
    await model.apply({ is: 'append', table: 'cars', rows: [car('A'), car('B')] })
    const dir = join(model.path, 'made', 'by', 'the writer')
    const { files, tables } = await model.writer.snapshot(dir)
    const bytes = await readFile(join(dir, 'model.duckdb'))
    const blocks = [bytes.subarray(0, 12_288)]
    for (let start = 12_288; start < bytes.length; start += 262_144) blocks.push(bytes.subarray(start, start + 262_144))
    const digest = sha256(blocks.map(sha256).join('\n'))
    expect(files).toEqual([{ name: 'model.duckdb', bytes: bytes.length, sha256: digest }])
    expect(tables).toEqual([{ name: 'cars', rows: 2, grownSince: 0 }])
    const manifest = await blockManifest(join(dir, 'model.duckdb'))
    expect(manifest).toEqual({ bytes: bytes.length, blockSize: 262_144, blocks: blocks.map(sha256) })
  })

  test('never changes, whatever is applied afterwards', async () => {
    await using model = await WriterModel.open(garage)
    await model.apply({ is: 'append', table: 'cars', rows: [car('A')] })
    const first = await model.snapshot()
    const before = await readFile(first.files['model.duckdb'] ?? '')
    await model.apply({ is: 'upsert', table: 'cars', rows: [car('A', { seats: null }), car('B')] })
    const second = await model.snapshot()
    expect(await rowsOf(first.files, garage, 'cars')).toEqual([car('A')])
    expect(await rowsOf(second.files, garage, 'cars')).toEqual([car('A', { seats: null }), car('B')])
    expect(before.equals(await readFile(first.files['model.duckdb'] ?? ''))).toBe(true)
  })

  test('is what another writer goes on from, leaving it as it is', async () => {
    await using model = await WriterModel.open(garage)
    await model.apply({ is: 'append', table: 'cars', rows: [car('A')] })
    await model.apply({ is: 'append', table: 'cars', rows: [car('A'), car('B')] })
    const { files } = await model.snapshot()
    const before = await readFile(files['model.duckdb'] ?? '')
    await using next = await WriterModel.open(garage, { from: files })
    expect([next.writer.version, next.writer.lastSeq]).toEqual([2, 2n])
    const work = [car('A'), car('B')].map((row, at) =>
      next.work({ is: 'append', table: 'cars', rows: [row] }, { seq: BigInt(3 + at) }),
    )
    const [conflict, appended] = await next.writer.apply(work, 3)
    expect(refusedWith(conflict).code).toBe('KEY_CONFLICT')
    expect(resultOf(appended).inserted).toBe('1')
    expect(await next.rows('cars')).toEqual([car('A'), car('B')])
    expect([next.writer.version, next.writer.lastSeq]).toEqual([3, 4n])
    expect(before.equals(await readFile(files['model.duckdb'] ?? ''))).toBe(true)
  })

  test('holds no index and no more than the kind says and the state', async () => {
    await using model = await WriterModel.open(garage)
    await model.apply({ is: 'append', table: 'cars', rows: [car('A')] })
    const { files } = await model.snapshot()
    expect(await querySnapshot(files, 'SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL')).toEqual([
      { schema_name: '_teatree', table_name: 'state' },
      { schema_name: 'main', table_name: 'cars' },
    ])
    expect(await querySnapshot(files, 'SELECT * FROM duckdb_indexes()')).toEqual([])
    expect(await querySnapshot(files, 'SELECT version, last_seq FROM _teatree.state')).toEqual([
      { version: 1, last_seq: '1' },
    ])
  })
})

describe('a copy with its manifest', () => {
  test.each([0, 1, 12_287, 12_288, 12_289, 274_432, 4_206_592, 4_206_593, 9_000_001])('of %i bytes', async size => {
    await using model = await WriterModel.open(garage)
    const [from, to] = [join(model.path, 'from'), join(model.path, 'to')]
    const bytes = Buffer.from(Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 255))
    await writeFile(from, bytes)
    await writeFile(to, 'longer or shorter, it is written anew')
    const manifest = await copyWithManifest(from, to)
    expect(bytes.equals(await readFile(to))).toBe(true)
    expect(manifest).toEqual(await blockManifest(to))
    expect(manifest.bytes).toBe(size)
    await appendFile(to, 'x')
    expect(manifestDigest((await blockManifest(to)).blocks)).not.toBe(manifestDigest(manifest.blocks))
  })
})

const withTables = (tables: KindDefinition['tables']) => checkKind(defineKind({ ...definition, tables }))
const { cars } = definition.tables
const wider = withTables({
  cars: { ...cars, columns: { plate: 'VARCHAR', colour: 'VARCHAR?', seats: 'INTEGER?', price: 'DECIMAL(9,2)?' } },
  bays: { row: 'Bay', description: 'Bays', columns: { bay: 'INTEGER' }, key: ['bay'], writes: ['append'] },
})

const refTo = (files: SnapshotFiles, version: number): Change => ({
  is: 'copy',
  from: { alias: 'source', model: 'garage-1', kind: 'garage', version, files },
})

describe('a scenario on DuckDB', () => {
  test.each(['a base alone', 'a base and a WAL'])('begins with the files of its source, %s', async which => {
    await using source = await WriterModel.open(garage)
    await source.apply({ is: 'append', table: 'cars', rows: [car('A'), car('B')] })
    await source.snapshot()
    if (which === 'a base and a WAL') await source.apply({ is: 'append', table: 'cars', rows: [car('C')] })
    const { files } = await source.snapshot()
    const before = await rowsOf(files, garage, 'cars')
    await using scenario = await WriterModel.open(garage)
    const [outcome] = await scenario.apply(refTo(files, source.writer.version))
    expect(resultOf(outcome)).toEqual({ inserted: String(before.length), updated: '0', deleted: '0' })
    expect([scenario.writer.version, scenario.writer.lastSeq]).toEqual([1, 1n])
    const begun = await scenario.snapshot()
    expect((await stat(databaseOf(begun.files))).ino).toBe((await stat(databaseOf(files))).ino)
    expect(await rowsOf(begun.files, garage, 'cars')).toEqual(before)
    await scenario.apply({ is: 'delete', table: 'cars', where: { is: 'and', of: [] } })
    expect(await scenario.rows('cars')).toEqual([])
    expect(await rowsOf(files, garage, 'cars')).toEqual(before)
  })
})

describe.each(engines)('$name', engine => {
  describe('a kind that has changed since', () => {
    test('by tables and nullable columns is taken up with the next version, by intents that fail too', async () => {
      await using model = await WriterModel.open(garage, { engine })
      await model.apply({ is: 'append', table: 'cars', rows: [car('A')] })
      const { files } = await model.snapshot()
      await using next = await WriterModel.open(wider, { engine, from: files })
      expect([next.writer.version, next.writer.hasAdditions]).toEqual([1, true])
      const outcomes = await next.apply(
        { is: 'update', table: 'cars', where: { is: 'and', of: [] }, set: { plate: null } },
        { is: 'append', table: 'cars', rows: [car('B', { colour: 'red' })] },
        // as a ledger has it from before
        { is: 'append', table: 'cars', rows: [car('C')] },
        { is: 'append', table: 'bays', rows: [{ bay: 1 }] },
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([false, true, true, true])
      expect([next.writer.version, next.writer.hasAdditions]).toEqual([2, false])
      const taken = await next.snapshot()
      expect(await engine.rows(taken.files, wider, 'cars')).toEqual([
        car('A', { colour: null }),
        car('B', { colour: 'red' }),
        car('C', { colour: null }),
      ])
      await using again = await WriterModel.open(wider, { engine, from: taken.files })
      expect(again.writer.hasAdditions).toBe(false)
    })

    test('by nothing but an empty batch makes the version in which it is taken up', async () => {
      await using model = await WriterModel.open(garage, { engine })
      const { files } = await model.snapshot()
      await using next = await WriterModel.open(wider, { engine, from: files })
      await next.apply()
      expect(await next.rows('bays')).toEqual([])
    })

    test('in any other way is KIND_CHANGED, and says what differs', async () => {
      await using model = await WriterModel.open(garage, { engine })
      const { files } = await model.snapshot()
      const other = withTables({ cars: { ...cars, columns: { plate: 'VARCHAR', seats: 'BIGINT?' } } })
      const opening = WriterModel.open(other, { engine, from: files })
      await expect(opening).rejects.toMatchObject({
        code: 'KIND_CHANGED',
        details: { differences: ['column cars.seats was INTEGER? and is BIGINT?', 'column cars.price is gone'] },
      })
    })
  })

  describe('a scenario', () => {
    test('of the empty model begins empty', async () => {
      await using scenario = await WriterModel.open(garage, { engine })
      const [outcome] = await scenario.apply(refTo({}, 0))
      expect(resultOf(outcome)).toEqual({ inserted: '0', updated: '0', deleted: '0' })
      expect([await scenario.rows('cars'), scenario.writer.version]).toEqual([[], 1])
    })

    test('of a source whose kind has grown since has what it has got, too', async () => {
      await using source = await WriterModel.open(garage, { engine })
      await source.apply({ is: 'append', table: 'cars', rows: [car('A')] })
      const { files } = await source.snapshot()
      await using scenario = await WriterModel.open(wider, { engine })
      resultOf((await scenario.apply(refTo(files, 1)))[0])
      expect(await scenario.rows('cars')).toEqual([car('A', { colour: null })])
      expect(await scenario.rows('bays')).toEqual([])
    })

    test('of a source that cannot be read as the kind is now is refused, and the model stays as it is', async () => {
      await using source = await WriterModel.open(garage, { engine })
      await source.apply({ is: 'append', table: 'cars', rows: [car('A')] })
      const { files } = await source.snapshot()
      const other = withTables({ cars: { ...definition.tables.cars, columns: { plate: 'VARCHAR', seats: 'BIGINT?' } } })
      await using scenario = await WriterModel.open(other, { engine })
      const held = { plate: 'Z', seats: '4' }
      await scenario.apply({ is: 'append', table: 'cars', rows: [held] })
      const [outcome, ...more] = await scenario.apply(refTo(files, 1))
      expect([refusedWith(outcome).code, more]).toEqual(['KIND_CHANGED', []])
      expect(await scenario.rows('cars')).toEqual([held])
    })
  })
})

/** The files below `path` that this process has open; null where the system does not tell. */
async function openBelow(path: string): Promise<string[] | null> {
  const open = await readdir('/proc/self/fd').catch(() => null)
  if (!open) return null
  const links = await Promise.all(open.map(fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return links.filter(link => link.startsWith(`${path}/`))
}

test('closing releases every file, and so does opening what cannot be opened', async context => {
  await using model = await WriterModel.open(garage)
  await model.apply({ is: 'append', table: 'cars', rows: [car('A')] })
  const { files } = await model.snapshot()
  const opened = await openBelow(model.path)
  if (!opened) return context.skip()
  expect(opened).not.toEqual([])
  await model.writer.close()
  await model.writer.close()
  const dir = join(model.path, 'another')
  await mkdir(dir)
  const tables = { cars: { ...definition.tables.cars, key: ['seats'] } }
  const other = checkKind(defineKind({ ...definition, tables }))
  await expect(WriterModel.open(other, { from: files, dir })).rejects.toMatchObject({ code: 'KIND_CHANGED' })
  expect(await openBelow(model.path)).toEqual([])
})
