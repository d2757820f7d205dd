import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, test } from 'vitest'
import { Bases } from '../../src/engine/duckdb/bases.ts'
import { databaseOf, openDatabase } from '../../src/engine/duckdb/database.ts'
import { firstOfLast } from '../../src/engine/duckdb/last-rows.ts'
import { DuckDBSql } from '../../src/engine/duckdb/sql.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'

const GROUP = 122_880

/** Which of the numbers are in the rows that a reader of the files takes for the last `count`; null where it cannot tell. */
async function lastOf(files: SnapshotFiles, count: number) {
  const instance = await DuckDBInstance.create(databaseOf(files), { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    const sql = new DuckDBSql(connection)
    const [{ rows } = {}] = await sql.all('SELECT count(*)::INTEGER AS rows FROM t')
    const first = await firstOfLast(sql, 't', Number(rows), count)
    if (first === null) return null
    return await sql.all(
      `SELECT min(i) AS least, max(i) AS most, count(*)::INTEGER AS rows FROM t WHERE rowid >= ${first}`,
    )
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

test('the rows that were added last are found, whichever row groups new bases have merged or left out', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-last-rows-'))
  const db = await openDatabase(dir, null, { threads: 1 })
  const bases = await Bases.open({ dir: join(dir, 'bases'), database: db.path, from: null })
  let next = 0
  const add = async (count: number) => {
    await db.sql.run(`INSERT INTO t SELECT i::INTEGER FROM range(${next}, ${next + count}) r (i)`)
    next += count
  }
  try {
    await db.sql.run('CREATE TABLE t (i INTEGER)')
    const removals = [
      'FALSE',
      `i BETWEEN ${GROUP} AND ${2 * GROUP}`,
      'i % 3 = 1',
      `i > ${2 * GROUP} AND i % 10 > 0`,
      `i < ${GROUP}`,
      'i % 7 = 2',
    ]
    for (const [index, removed] of removals.entries()) {
      await add(index % 2 === 0 ? GROUP + 5000 : 700)
      await bases.renew(db.sql)
      await db.sql.run(`DELETE FROM t WHERE ${removed}`)
      const from = next
      await add(3)
      // The rows that are added are once in a new base, and once in the WAL behind one from before the others went.
      for (const isRenewed of [false, true]) {
        if (isRenewed) await bases.renew(db.sql)
        await add(40)
        const folder = join(dir, `version ${index} ${isRenewed}`)
        await mkdir(folder)
        const made = await bases.publish(folder)
        const files = Object.fromEntries(made.map(({ name }) => [name, join(folder, name)]))
        const found = { least: from, most: next - 1, rows: next - from }
        expect(await lastOf(files, next - from)).toEqual([found])
      }
    }
  } finally {
    await bases.close()
    db.close()
    await rm(dir, { recursive: true })
  }
})
