import { copyFile, mkdir, open, readdir, readlink, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DuckDBSql } from '../../src/engine/duckdb/sql.ts'
import type { Readers, SnapshotFiles, Work } from '../../src/engine/engine.ts'
import { ALL, type RowsPlan } from '../../src/engine/plan.ts'
import { SnapshotDamaged } from '../../src/engine/snapshot-damaged.ts'
import { SnapshotMissing } from '../../src/engine/snapshot-missing.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { createLog } from '../../src/platform/log.ts'
import { arrow, duckdb, engines } from './engines.ts'
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

  const growers: RowsPlan = {
    table: 'growers',
    columns: ['growerId', 'region'],
    where: ALL,
    orderBy: [{ column: 'growerId', direction: 'ASC', nulls: 'LAST' }],
    limit: 100,
  }
  const grown = (...ids: string[]) => ({ growers: ids.map(growerId => ({ growerId, region: 'north' })) })
  const fileOf = (files: SnapshotFiles): string => files['model.duckdb'] ?? ''
  /** Files below the folder that this process has open, deleted ones too. */
  async function openFiles(): Promise<string[]> {
    const links = await Promise.allSettled((await readdir('/proc/self/fd')).map(fd => readlink(`/proc/self/fd/${fd}`)))
    return links.flatMap(link =>
      link.status === 'fulfilled' && link.value.startsWith(folder.path) ? [link.value] : [],
    )
  }

  test.runIf(engine === duckdb)(
    'a reader reads on after its file was deleted, and lets go of it when closed',
    async () => {
      const files = await folder.snapshot(orchard, grown('a', 'b'))
      const [one, two] = await Promise.all([
        readers.open({ kind: orchard, files }),
        readers.open({ kind: orchard, files }),
      ])
      await rm(fileOf(files))
      expect(await one.rows(growers)).toHaveLength(2)
      await one.close()
      expect(await two.rows(growers)).toHaveLength(2)
      await two.close()
      await two.close()
      await expect(two.rows(growers)).rejects.toThrow('closed')
      if (process.platform === 'linux') expect(await openFiles()).toEqual([])
    },
  )

  test('statements that stay prepared keep no file of a version that is closed, whichever connection has them', async () => {
    for (const ids of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
      const reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, grown(...ids)) })
      // As many at once as there are connections, and the last of them are under way as the reader is closed.
      const reads = Array.from({ length: 60 }, (_, limit) => reader.rows({ ...growers, limit: 3 + limit }))
      await reader.close()
      for (const rows of await Promise.all(reads)) expect(rows).toHaveLength(ids.length)
      if (process.platform === 'linux') expect(await openFiles()).toEqual([])
    }
  })

  test.runIf(engine === duckdb)('a version whose file is gone is told apart from one that is broken', async () => {
    const path = join(folder.path, "it's gone.duckdb")
    await expect(readers.open({ kind: orchard, files: { 'model.duckdb': path } })).rejects.toThrow(SnapshotMissing)
    const broken = await folder.database(orchard, sql => sql.run('DROP TABLE _teatree.state'))
    await expect(readers.open({ kind: orchard, files: broken })).rejects.not.toThrow(SnapshotMissing)
    if (process.platform === 'linux') expect(await openFiles()).toEqual([])
  })

  test.runIf(engine === duckdb)(
    'a version of base and WAL is read with both, and not at all without the WAL',
    async () => {
      const base = await folder.snapshot(orchard, grown('a'))
      const instance = await DuckDBInstance.create(fileOf(base))
      const connection = await instance.connect()
      const file = join(folder.path, 'with-wal.duckdb')
      try {
        await new DuckDBSql(connection).run("INSERT INTO growers (growerId) VALUES ('b')")
        await copyFile(fileOf(base), file)
        await copyFile(`${fileOf(base)}.wal`, `${file}.wal`)
      } finally {
        connection.closeSync()
        instance.closeSync()
      }
      const files = { 'model.duckdb': file, 'model.duckdb.wal': `${file}.wal` }
      const reader = await readers.open({ kind: orchard, files })
      expect((await reader.rows(growers)).map(row => row.growerId)).toEqual(['a', 'b'])
      await reader.close()
      await rm(`${file}.wal`)
      await expect(readers.open({ kind: orchard, files })).rejects.toThrow(SnapshotMissing)
    },
  )

  test('what an older shape of the kind lacks reads as null, and as an empty table', async () => {
    const { growers: table, plots } = orchard.definition.tables
    if (!table || !plots) throw new Error('no tables')
    const before = checkKind({
      ...orchard.definition,
      queries: {},
      tables: { growers: { ...table, columns: { growerId: 'VARCHAR', since: 'DATE?' } } },
    })
    const files = await folder.snapshot(before, { growers: [{ growerId: 'a', since: '2024-01-01' }] })
    const opened = await Promise.all(Array.from({ length: 20 }, () => readers.open({ kind: orchard, files })))
    for (const reader of opened) {
      expect(await reader.rows(growers)).toEqual([{ growerId: 'a', region: null }])
      expect((await reader.tables()).map(({ rows }) => rows)).toEqual([1, 0, 0])
      const through: RowsPlan['where'] = { is: 'through', as: 'grower', of: ALL }
      expect(await reader.count('harvests', through)).toBe(0n)
      // Functions are DuckDB's.
      if (engine !== duckdb) continue
      const page = { limit: 5, count: true }
      const echoed = await reader.query(
        'echo',
        { select: 'SELECT 1 AS whole, region AS text, NULL AS amount, 0 AS share, since AS day FROM growers' },
        page,
      )
      expect(echoed.rows[0]).toMatchObject({ text: null, day: '2024-01-01' })
    }
    const now = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, grown('a', 'b')) })
    expect(await now.diff(opened[0] ?? now, { table: 'growers', columns: ['region'], where: ALL, limit: 5 })).toEqual([
      { change: 'CHANGED', key: ['a'], before: { region: null }, after: { region: 'north' } },
      { change: 'ADDED', key: ['b'], before: null, after: { region: 'north' } },
    ])
    await Promise.all([...opened, now].map(reader => reader.close()))
  })

  test('a version whose column was of another type is refused, rather than cast to values that nobody wrote', async () => {
    const { growers: table } = orchard.definition.tables
    if (!table) throw new Error('no table')
    const withSince = (since: 'DATE?' | 'DECIMAL(4,1)?' | 'DATE') =>
      checkKind({
        ...orchard.definition,
        queries: {},
        tables: { growers: { ...table, columns: { growerId: 'VARCHAR', since } } },
      })
    const old = await folder.snapshot(withSince('DECIMAL(4,1)?'), { growers: [{ growerId: 'a', since: '7.5' }] })
    await expect(readers.open({ kind: withSince('DATE?'), files: old })).rejects.toMatchObject({
      code: 'KIND_CHANGED',
      details: { differences: ['column growers.since was DECIMAL(4,1)? and is DATE'] },
    })
    const dated = await folder.snapshot(withSince('DATE'), { growers: [{ growerId: 'a', since: '2024-01-01' }] })
    const reader = await readers.open({ kind: withSince('DATE?'), files: dated })
    expect(await reader.rows({ ...growers, columns: ['since'] })).toMatchObject([{ since: '2024-01-01' }])
    await reader.close()
  })

  test('what the writer publishes is read', async () => {
    const dir = (name: string) => join(folder.path, name)
    await mkdir(dir('scratch'))
    const writer = await engine.openWriter({
      kind: orchard,
      kinds: new Map([[orchard.name, orchard]]),
      dir: dir('scratch'),
      from: null,
      log: createLog({ name: 'test', level: 'silent' }),
    })
    try {
      const work: Work = {
        intentId: 'one',
        seq: 1n,
        submittedAt: '2024-01-01T00:00:00.000000Z',
        change: { is: 'append', table: 'growers', rows: [{ growerId: 'a', region: 'north', since: null }] },
        signal: new AbortController().signal,
        onStep: () => {},
      }
      await writer.apply([work], 1)
      const { files } = await writer.snapshot(dir('version'))
      const paths = Object.fromEntries(files.map(({ name }) => [name, join(dir('version'), name)]))
      const reader = await readers.open({ kind: orchard, files: paths })
      expect(await reader.rows(growers)).toEqual([{ growerId: 'a', region: 'north' }])
      expect(reader).toMatchObject({ version: 1, lastSeq: 1n })
      await reader.close()
    } finally {
      await writer.close()
    }
  })

  test('version 0 has no files, and is read as empty', async () => {
    const reader = await readers.open({ kind: orchard, files: {} })
    expect(reader).toMatchObject({ version: 0, lastSeq: 0n })
    expect((await reader.tables()).map(({ rows }) => rows)).toEqual([0, 0, 0])
    expect(await reader.rows(growers)).toEqual([])
    const first = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, grown('a')) })
    expect(await first.diff(reader, { table: 'growers', columns: ['region'], where: ALL, limit: 5 })).toEqual([
      { change: 'ADDED', key: ['a'], before: null, after: { region: 'north' } },
    ])
    await Promise.all([reader.close(), first.close()])
  })

  const tableFile = (files: SnapshotFiles, table: string): string =>
    Object.entries(files).find(([name]) => name.startsWith(`${table}.`))?.[1] ?? ''

  test.runIf(engine === arrow)(
    'a file that is not what was written is read by nobody, and the other tables are',
    async () => {
      const files = await folder.snapshot(orchard, {
        ...grown('a', 'b', 'c'),
        harvests: [{ name: 'n', batch: 1, growerId: 'a' }],
      })
      const reader = await readers.open({ kind: orchard, files })
      await using file = await open(tableFile(files, 'growers'), 'r+')
      const { size } = await file.stat()
      await file.write('!', Math.floor(size / 2))
      await expect(reader.rows(growers)).rejects.toThrow(SnapshotDamaged)
      await expect(reader.count('harvests', { is: 'through', as: 'grower', of: ALL })).rejects.toThrow(SnapshotDamaged)
      await expect(reader.stream({ table: 'growers' }, 'csv').next()).rejects.toThrow(SnapshotDamaged)
      expect(await reader.count('harvests', ALL)).toBe(1n)
      await reader.close()
      await truncate(tableFile(files, 'growers'), size - 1)
      await expect(readers.open({ kind: orchard, files })).rejects.toThrow(SnapshotDamaged)
    },
  )

  test.runIf(engine === arrow)(
    'a file that is gone is told apart from one that is damaged, and from a fault',
    async () => {
      const files = await folder.snapshot(orchard, grown('a', 'b'))
      const reader = await readers.open({ kind: orchard, files })
      await rm(tableFile(files, 'growers'))
      await expect(reader.rows(growers)).rejects.toThrow(SnapshotMissing)
      await expect(readers.open({ kind: orchard, files })).rejects.toThrow(SnapshotMissing)
      await reader.close()
    },
  )

  test.runIf(engine === arrow)(
    'what DuckDB reads of versions is there as long as one that has it is open',
    async () => {
      const twins = async () =>
        (await readdir(folder.path, { recursive: true })).filter(name => name.endsWith('.parquet'))
      const of = await engine.startReaders({}, { folder: folder.path })
      const files = await folder.snapshot(orchard, grown('a', 'b'))
      const [one, two] = [await of.open({ kind: orchard, files }), await of.open({ kind: orchard, files })]
      for (const reader of [one, two]) for await (const _ of reader.stream({ table: 'growers' }, 'csv'));
      const made = await twins()
      expect(made.length).toBeGreaterThan(0)
      await one.close()
      expect(await twins()).toEqual(made)
      await two.close()
      expect(await twins()).toEqual([])
      await of.close()
    },
  )
})
