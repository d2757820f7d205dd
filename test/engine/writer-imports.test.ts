import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ImportMode } from '../../src/engine/engine.ts'
import type { ImportFormat } from '../../src/engine/files.ts'
import type { Row } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { parcels } from './import-model.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

const depot = (code: string, name: string, note: string | null = null): Row => ({ code, name, note })

/** Files through a writer; what cells become of each format is tested with the imports themselves. */
describe.each(engines)('an import by $name', engine => {
  let model: WriterModel
  beforeEach(async () => {
    model = await WriterModel.open(parcels, { engine })
    await importing('CSV', 'code,name,note\nA,a,1\nB,b,2\n')
  })
  afterEach(() => model[Symbol.asyncDispose]())

  async function importing(
    format: ImportFormat,
    content: string | Uint8Array,
    {
      table = 'depots',
      mode = 'APPEND',
      columns,
    }: { table?: string; mode?: ImportMode; columns?: Record<string, string> } = {},
  ) {
    const path = join(model.path, `upload ${Math.random()}`)
    await writeFile(path, content)
    const [outcome] = await model.apply({
      ...{ is: 'import', table, mode },
      source: { is: 'file', path, format, ...(columns ? { columns } : {}) },
    })
    return outcome
  }

  test('reads every format, with steps, and leaves nothing behind', async () => {
    await importing('NDJSON', '{"code":"C","name":"ü😀"}\n')
    expect(model.steps).toEqual(expect.arrayContaining(['read', 'check', 'write']))
    await importing('ARROW', tableToIPC(tableFromArrays({ code: ['D'], name: ['d'] }), 'file'))
    expect(await model.rows('depots')).toEqual([
      depot('A', 'a', '1'),
      depot('B', 'b', '2'),
      depot('C', 'ü😀'),
      depot('D', 'd'),
    ])
    const scratch = (await readdir(model.path)).filter(name => name.startsWith('scratch-'))
    for (const dir of scratch) {
      expect((await readdir(join(model.path, dir))).filter(name => name.startsWith('import-'))).toEqual([])
    }
  })

  test('keeps every value of every type', async () => {
    const row = {
      parcelId: '-9223372036854775808',
      label: '"quoted", 😀',
      pieces: 2147483647,
      tracking: '9223372036854775807',
      price: '-99999999999999.9999',
      exact: '9999999999999999999999999999.9999999999',
      weight: 5e-324,
      fragile: false,
      sentOn: '0001-01-01',
      seenAt: '9999-12-31T23:59:59.999999Z',
    }
    const nothing = { ...Object.fromEntries(Object.keys(row).map(name => [name, null])), parcelId: '0' }
    resultOf(await importing('NDJSON', `${JSON.stringify(row)}\n{"parcelId":0}\n`, { table: 'parcels' }))
    expect(await model.rows('parcels')).toEqual([row, nothing])
  })

  test('that appends refuses all where a key is there, or twice, and names the lines', async () => {
    const outcome = await importing('CSV', 'code,name\nC,c\nB,x\nC,y\n')
    const { code, cells } = refusedWith(outcome)
    expect(code).toBe('KEY_CONFLICT')
    expect(cells).toEqual([
      { row: 2, line: 3, column: 'code', message: '"B" is there already' },
      { row: 3, line: 4, column: 'code', message: '"C" is there twice in these rows' },
    ])
    expect(await model.rows('depots')).toHaveLength(2)
  })

  test('of cells that are no values is refused, and names the first', async () => {
    const { code, cells } = refusedWith(await importing('CSV', 'parcelId,pieces\n1,1.5\n', { table: 'parcels' }))
    expect([code, cells]).toMatchObject(['BAD_VALUE', [{ row: 1, line: 2, column: 'pieces' }]])
    expect(refusedWith(await importing('PARQUET', 'PAR1 and no more than that PAR1')).code).toBe('BAD_FILE')
  })

  test('upserts whole rows, of a key that comes twice the last', async () => {
    const outcome = await importing('CSV', 'code,name\nB,x\nC,c\nB,y\n', { mode: 'UPSERT' })
    expect(resultOf(outcome)).toEqual({ table: 'depots', inserted: '1', updated: '1', deleted: '0' })
    expect(await model.rows('depots')).toEqual([depot('A', 'a', '1'), depot('B', 'y'), depot('C', 'c')])
  })

  test('replaces all rows, also with none', async () => {
    const outcome = await importing('CSV', 'x,name\nZ,z\n', { mode: 'REPLACE', columns: { code: 'x', name: 'name' } })
    expect(resultOf(outcome)).toEqual({ table: 'depots', inserted: '1', updated: '0', deleted: '2' })
    expect(await model.rows('depots')).toEqual([depot('Z', 'z')])
    expect(resultOf(await importing('CSV', 'code,name\n', { mode: 'REPLACE' }))).toMatchObject({ deleted: '1' })
    expect(await model.rows('depots')).toEqual([])
  })

  test('of more rows than a file holds keeps them all, in their order', async () => {
    const lines = Array.from({ length: 300_000 }, (_, at) => `${at},${at % 7 === 0 ? '' : at * 2}`)
    resultOf(await importing('CSV', `parcelId,pieces\n${lines.join('\n')}\n`, { table: 'parcels' }))
    const { tables } = await model.snapshot()
    expect(tables.find(({ name }) => name === 'parcels')?.rows).toBe(300_000)
    const again = await importing('CSV', 'parcelId\n299999\n300000\n', { table: 'parcels' })
    expect(refusedWith(again).cells).toMatchObject([{ row: 1, line: 2 }])
    const small = { is: 'compare', column: 'pieces', op: 'lt', value: 599_990 } as const
    const [deleted] = await model.apply({ is: 'delete', table: 'parcels', where: small })
    expect(resultOf(deleted).deleted).toBe(
      String(lines.filter((line, at) => !line.endsWith(',') && at * 2 < 599_990).length),
    )
    const rows = await model.rows('parcels')
    expect(rows.slice(-5).map(({ pieces }) => pieces)).toEqual([599_990, 599_992, 599_994, 599_996, null])
  })
})
