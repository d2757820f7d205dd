import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { literal, quoted } from '../../src/engine/duckdb/sql.ts'
import type { SnapshotRef } from '../../src/engine/engine.ts'
import type { ReadModel } from '../../src/kinds/context.ts'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

const depots = async () => (await model.rows('depots')).map(({ code, name, note }) => [code, name, note])

describe('which column fills which', () => {
  const csv = (content: string, columns?: Record<string, string>) =>
    refused(model.file('depots', { format: 'CSV', content, ...(columns ? { columns } : {}) }))

  test('columns of the table or of the file that a mapping names and that are not there', async () => {
    const { code, message, cells } = await csv('a,b\n1,2\n', { code: 'a', name: 'c', nmae: 'b' })
    expect(code).toBe('BAD_VALUE')
    expect(cells).toEqual([
      { column: 'name', message: 'there is no column "c" to fill it from, only "a", "b"' },
      { column: 'nmae', message: 'the table depots has no such column' },
    ])
    expect(message).toBe(`column "name": ${cells[0]?.message}, and 1 more`)
  })

  test('a required column that nothing fills', async () => {
    expect((await csv('a,b\n1,2\n', { code: 'a' })).cells).toEqual([
      { column: 'name', message: 'it is required, and the mapping does not fill it' },
    ])
    expect((await csv('code,note\n1,2\n')).cells).toEqual([
      { column: 'name', message: 'it is required; there is no column "name" to fill it from, only "code", "note"' },
    ])
  })

  test('without a mapping no column of the file may be lost, and names are the same to the letter', async () => {
    const { cells } = await csv('code,name,Note\n1,2,3\n')
    expect(cells).toEqual([
      { column: 'Note', message: 'the table depots has no such column; give a mapping that leaves it out' },
    ])
  })

  test('a mapping leaves the rest of the file out, an empty one is none, and two columns may share one', async () => {
    const content = 'x,code,name\n7,A,a\n'
    await model.file('depots', {
      format: 'CSV',
      content,
      columns: { code: 'x', name: 'code', note: 'x' },
      mode: 'REPLACE',
    })
    expect(await depots()).toEqual([['7', 'A', '7']])
    await model.file('depots', { format: 'CSV', content: 'name,code\na,A\n', columns: {}, mode: 'REPLACE' })
    expect(await depots()).toEqual([['A', 'a', null]])
  })

  test('a source column may be called anything', async () => {
    const content = '_row,c0,"a ""b"""\nA,a,n\n'
    await model.file('depots', {
      format: 'CSV',
      content,
      columns: { code: '_row', name: 'c0', note: 'a "b"' },
      mode: 'REPLACE',
    })
    expect(await depots()).toEqual([['A', 'a', 'n']])
    const path = join(model.dir, 'names.parquet')
    await model.sql.run(`COPY (SELECT 'B' AS _row, 'b' AS "c0", 'm' AS "_line") TO ${literal(path)}`)
    const columns = { code: '_row', name: 'c0', note: '_line' }
    await model.from('depots', { is: 'file', path, format: 'PARQUET', columns }, { mode: 'REPLACE' })
    expect(await depots()).toEqual([['B', 'b', 'm']])
  })
})

describe('the modes', () => {
  const csv = (content: string, mode: 'APPEND' | 'UPSERT' | 'REPLACE') =>
    model.file('depots', { format: 'CSV', content: `code,name,note\n${content}`, mode })
  beforeEach(() => csv('A,a,1\nB,b,2\n', 'REPLACE'))

  test('append adds, and a key that is there refuses all', async () => {
    expect(await csv('C,c,\n', 'APPEND')).toEqual({ inserted: 1, updated: 0, deleted: 0 })
    const error = await refused(csv('D,d,\nB,x,\n', 'APPEND'))
    expect([error.code, error.cells]).toMatchObject(['KEY_CONFLICT', [{ row: 2, line: 3 }]])
    expect(await depots()).toHaveLength(3)
  })

  test('upsert writes whole rows, of a key that comes twice the last', async () => {
    expect(await csv('B,x,\nC,c,3\nB,y,\n', 'UPSERT')).toEqual({ inserted: 1, updated: 1, deleted: 0 })
    expect(await depots()).toEqual([
      ['A', 'a', '1'],
      ['B', 'y', null],
      ['C', 'c', '3'],
    ])
  })

  test('replace empties the table first, also for a file without rows', async () => {
    expect(await csv('Z,z,\n', 'REPLACE')).toEqual({ inserted: 1, updated: 0, deleted: 2 })
    expect(await csv('', 'REPLACE')).toEqual({ inserted: 0, updated: 0, deleted: 1 })
  })

  test('the steps are told', async () => {
    const steps: [string, number | null][] = []
    const content = 'code,name,note\nA,a,\n'
    await model.file('depots', { format: 'CSV', content, mode: 'REPLACE', onStep: (...step) => steps.push(step) })
    expect([...new Set(steps.map(([step]) => step))]).toEqual(['read', 'check', 'write'])
    expect(steps.filter(([step]) => step === 'read').at(-1)).toEqual(['read', 1])
  })
})

describe('a snapshot of another model', () => {
  const ref: SnapshotRef = { alias: 'source', model: 'other', kind: 'parcels', version: 3, files: {} }
  const attached = async ({ alias, model, kind, version }: SnapshotRef): Promise<ReadModel> => ({
    ...{ alias, model, kind, version },
    table: name => `${quoted(alias)}.main.${quoted(name)}`,
  })
  const from = async (table: string, columns: Record<string, string>) => {
    await model.sql.run(`ATTACH ${literal(join(model.dir, 'other.duckdb'))} AS ${quoted(ref.alias)} (READ_ONLY)`)
    return model.from('depots', { is: 'snapshot', snapshot: ref, table, columns }, { mode: 'REPLACE', attached })
  }

  beforeAll(async () => {
    await model.sql.run(`ATTACH ${literal(join(model.dir, 'other.duckdb'))} AS other`)
    await model.sql.run(
      `CREATE TABLE other.stops (stop BIGINT, name VARCHAR, seen TIMESTAMP, fee DECIMAL(9,2));
       INSERT INTO other.stops VALUES (7, 'x', '2013-01-31 09:00:00.5', 1.5), (8, 'y', NULL, NULL), (9, NULL, NULL, 3);
       DETACH other`,
    )
  })
  beforeEach(() => model.sql.run('DETACH DATABASE IF EXISTS source'))

  test('is read with the same exact casts', async () => {
    const counts = await from('stops', { code: 'stop', name: 'stop', note: 'seen' })
    expect(counts).toMatchObject({ inserted: 3 })
    expect(await depots()).toEqual([
      ['7', '7', '2013-01-31T09:00:00.500000Z'],
      ['8', '8', null],
      ['9', '9', null],
    ])
  })

  test('cells at fault are told by row', async () => {
    const { code, cells } = await refused(from('stops', { code: 'stop', name: 'name', note: 'fee' }))
    expect([code, cells]).toMatchObject(['BAD_VALUE', [{ row: 3, column: 'name' }]])
    expect(cells[0]).not.toHaveProperty('line')
  })
})
