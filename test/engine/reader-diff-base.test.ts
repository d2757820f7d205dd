import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { changedRows } from '../../src/engine/duckdb/changed-rows.ts'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import { DuckDBSql } from '../../src/engine/duckdb/sql.ts'
import type { DiffRow, SnapshotFiles, SnapshotReader } from '../../src/engine/engine.ts'
import { ALL, type DiffPlan } from '../../src/engine/plan.ts'
import { openWalDatabase } from '../support/base-and-wal.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

/** Nine row groups, the last of them not full, and 100 rows of the first gone before the base was made. */
const ROWS = 1_000_000
const GROUP = 122_880
const PLAN: DiffPlan = { table: 'harvests', columns: ['boxes'], where: ALL, limit: 1_000 }
const STEPS: Record<string, string[]> = {
  same: ['CREATE TEMP TABLE IF NOT EXISTS nothing (i INTEGER)'],
  appended: [`INSERT INTO harvests (name, batch, boxes) SELECT 'x' || i, 1, 1 FROM range(3) r (i)`],
  updated: [`UPDATE harvests SET boxes = -1 WHERE name IN ('n250000', 'n250001')`],
  removed: [`DELETE FROM harvests WHERE name = 'n600000'`],
  // As many rows of the same row group as before, and others.
  removedAnother: [`DELETE FROM harvests WHERE name = 'n600001'`],
  movedAway: [
    `DELETE FROM harvests WHERE name = 'n800000'`,
    `INSERT INTO harvests (name, batch, boxes) VALUES ('n800000', 1, 7)`,
  ],
}

let folder: TestFolder
let readers: DuckDBReaders
const files: Record<string, SnapshotFiles> = {}
const versions: Record<string, SnapshotReader> = {}
beforeAll(async () => {
  folder = await testFolder()
  readers = await DuckDBReaders.start()
  const whole = await folder.database(orchard, async sql => {
    await sql.run(`INSERT INTO harvests (name, batch, boxes) SELECT 'n' || i, 1, i % 100 FROM range(${ROWS}) r (i)`)
    await sql.run('CHECKPOINT')
    await sql.run('DELETE FROM harvests WHERE boxes = 99 AND rowid < 10000')
  })
  const dir = join(folder.path, 'writer')
  await mkdir(dir)
  using writer = await openWalDatabase(dir, { from: whole['model.duckdb'] ?? '' })
  for (const [name, statements] of Object.entries(STEPS)) {
    const into = join(folder.path, name)
    await mkdir(into)
    const marked = ['UPDATE _teatree.state SET last_seq = last_seq + 1', ...statements]
    files[name] = await writer.publish(into, ...marked)
    versions[name] = await readers.open({ kind: orchard, files: files[name] })
  }
})
afterAll(async () => {
  await readers.close()
  await folder[Symbol.asyncDispose]()
})

const diff = async (from: string, to: string): Promise<DiffRow[]> => {
  const [older, newer] = [versions[from], versions[to]]
  if (!older || !newer) throw new Error('not open')
  return newer.diff(older, PLAN)
}
const shown = (rows: readonly DiffRow[]) =>
  rows.map(({ change, key, before, after }) => `${change} ${key[0]} ${before?.boxes}>${after?.boxes}`)

const CHANGES: Record<string, string[]> = {
  appended: ['ADDED x0 undefined>1', 'ADDED x1 undefined>1', 'ADDED x2 undefined>1'],
  updated: ['CHANGED n250000 0>-1', 'CHANGED n250001 1>-1'],
  removed: ['REMOVED n600000 0>undefined'],
  removedAnother: ['REMOVED n600001 1>undefined'],
  movedAway: ['CHANGED n800000 0>7'],
}

test.each([
  ['same', 'appended'],
  ['appended', 'updated'],
  ['updated', 'removed'],
  ['removed', 'removedAnother'],
  ['removedAnother', 'movedAway'],
  ['same', 'removedAnother'],
])('from %s to %s, versions of one base, every change is found', async (from, to) => {
  const names = Object.keys(STEPS)
  const expected = names.slice(names.indexOf(from) + 1, names.indexOf(to) + 1).flatMap(name => CHANGES[name] ?? [])
  expect(shown(await diff(from, to)).sort()).toEqual(expected.sort())
})

test('only the row groups that a change is in are looked at', async () => {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const sql = new DuckDBSql(connection)
    for (const [name, of] of Object.entries(files))
      await sql.run(`ATTACH '${of['base.duckdb']}' AS "version ${name}" (READ_ONLY)`)
    const groups = async (from: string, to: string) => {
      const table = (name: string) => `"version ${name}".main."harvests"`
      const ranges = await changedRows(sql, table(from), table(to))
      return ranges?.flatMap(([first, last]) =>
        Array.from({ length: (last + 1 - first) / GROUP }, (_, index) => first / GROUP + index),
      )
    }
    // The first has rows that were gone before: whether they are the same cannot be told.
    expect(await groups('same', 'appended')).toEqual([0, 8])
    expect(await groups('same', 'updated')).toEqual([0, 2, 8])
    expect(await groups('updated', 'removed')).toEqual([0, 2, 4, 8])
    // More than half of it: all of it is looked at in one go.
    expect(await groups('same', 'movedAway')).toBeUndefined()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
})
