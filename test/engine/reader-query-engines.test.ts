import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import salesDefinition from '../../models/sales.ts'
import { ArrowReaders } from '../../src/engine/arrow/readers.ts'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import type { QueryPage, QueryRows, Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import type { Row } from '../../src/kinds/types.ts'
import labDefinition from '../support/kinds/lab.ts'
import { arrow, engines } from './engines.ts'
import { testFolder } from './reader-model.ts'
import { WriterModel } from './writer-model.ts'

const lab = checkKind(labDefinition)
const sales = checkKind(salesDefinition)
const kindsDir = resolve(import.meta.dirname, '../support/kinds')
const reading = (sampleId: string, amount: string, replicate: number | null): Row => ({
  ...{ sampleId, assay: 'ph', revision: 1, replicate, instrumentId: null, takenOn: '2024-01-01', amount },
  ...{ takenAt: '2024-01-01T09:00:00.500000Z', counts: '1', signal: 0.5, valid: true },
})
const rows: Record<string, Row[]> = {
  protocols: [{ assay: 'ph', revision: 1, title: 'Acidity', lowerLimit: '6.500000', upperLimit: '7.500000' }],
  readings: [
    reading('b', '7.600000', 2),
    reading('b', '6.000000', null),
    reading('b', '9.000000', 1),
    reading('a', '7.000000', 1),
    reading('c', '1.000000', 1),
  ],
  samples: ['a', 'b', 'c'].map(sampleId => ({ sampleId, collectedAt: '2024-01-01T09:00:00.500000Z' })),
}
const orders = ['b', 'a', 'b', 'x'].map((productId, index) => ({
  ...{ orderId: String(index), line: 1, date: '2024-01-01', siteId: 's', productId, customerId: 'c' },
  ...{ salespersonId: null, quantity: '1.0000', amount: '1.0000' },
}))

let readers: Record<EngineName, Readers>
let folder: string
const models: WriterModel[] = []
const open: Record<string, SnapshotReader> = {}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'teatree-engines-'))
  const shared = DuckDBReaders.shared({ kindsDir })
  readers = { DUCKDB: await shared(), ARROW: new ArrowReaders(await shared(), folder) }
  for (const engine of engines) {
    for (const [kind, tables] of [
      [lab, rows],
      [sales, { sales: orders }],
    ] as const) {
      const model = await WriterModel.open({ ...kind, engines: ['DUCKDB', 'ARROW'] }, { engine })
      models.push(model)
      await model.apply(...Object.entries(tables).map(([table, rows]) => ({ is: 'append' as const, table, rows })))
      const { files } = await model.snapshot()
      open[`${kind.name} ${engine.name}`] = await readers[engine.name].open({ kind, files })
    }
  }
})
afterAll(async () => {
  for (const each of Object.values(readers)) await each.close()
  for (const model of models) await model[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})
const the = (kind: string, engine: string): SnapshotReader => {
  const reader = open[`${kind} ${engine}`]
  if (!reader) throw new Error(`no ${kind} on ${engine}`)
  return reader
}

describe.each(engines)('a query function on $name', ({ name: engine }) => {
  const OUTSIDE = { assay: 'ph', revision: 1, tolerance: '0.050000' }

  async function walk(args: Row, limit: number): Promise<QueryRows[]> {
    const pages: QueryRows[] = []
    for (let after: QueryRows['positions'][number] | undefined; ; ) {
      const page = { limit, count: true, ...(after && { after }) }
      const found = await the('lab', engine).query('outsideLimits', args, page)
      pages.push(found)
      after = found.positions.at(-1)
      if (!after || found.rows.length < limit) return pages
    }
  }

  test('looks something up, and is counted and paged in its order, nulls last', async () => {
    const pages = await walk(OUTSIDE, 2)
    expect(pages.flatMap(page => page.rows)).toEqual([
      { sampleId: 'b', replicate: 1, amount: '9.000000', excess: '1.500000' },
      { sampleId: 'b', replicate: 2, amount: '7.600000', excess: '0.100000' },
      { sampleId: 'b', replicate: null, amount: '6.000000', excess: '0.500000' },
      { sampleId: 'c', replicate: 1, amount: '1.000000', excess: '5.500000' },
    ])
    for (const { total, page } of pages) {
      expect(total).toBe(4n)
      expect(page).toEqual({ lowerLimit: '6.500000', upperLimit: '7.500000', readings: '5' })
    }
  })

  test("refuses with the kind's own code", async () => {
    const query = the('lab', engine).query('outsideLimits', { ...OUTSIDE, assay: 'none' }, { limit: 1, count: false })
    await expect(query).rejects.toMatchObject({ name: 'TeatreeError', code: 'NO_PROTOCOL' })
  })

  test('runs in a process of its own, with all rows in its order', async () => {
    const to = join(folder, `${engine}.parquet`)
    const work = { is: 'function', name: 'outsideLimits', args: OUTSIDE } as const
    const bounds = { seconds: 60, rows: 4, bytes: 1 << 20 }
    await the('lab', engine).check(work, 60)
    const { columns, rows } = await the('lab', engine).run(work, to, bounds)
    expect([rows, columns.map(({ stored }) => stored)]).toEqual([
      4,
      ['VARCHAR', 'INTEGER', 'DECIMAL(18,6)', 'DECIMAL(18,6)'],
    ])
    expect(await readers[engine].resultRows({ path: to, columns, rows }, { offset: 1, limit: 2 })).toEqual([
      ['b', 2, '7.600000', '0.100000'],
      ['b', null, '6.000000', '0.500000'],
    ])
    const tooMany = the('lab', engine).run(work, to, { ...bounds, rows: 3 })
    await expect(tooMany).rejects.toMatchObject({ code: 'RESULT_TOO_LARGE' })
  })

  test.each(engines)('reads a model on $name', async ({ name: other }) => {
    const reads = [{ alias: 'orders', model: 'shop', reader: the('sales', other) }]
    const args = { orders: 'shop', ordersVersion: 1 }
    const found = await the('lab', engine).query('orderedSamples', args, { limit: 10, count: true }, undefined, reads)
    const expected = [
      { sampleId: 'a', lines: '1' },
      { sampleId: 'b', lines: '2' },
    ]
    expect(found).toMatchObject({ rows: expected, total: 2n, page: { ordersVersion: 1 } })
    const to = join(folder, `${engine} reads ${other}.parquet`)
    const work = { is: 'function', name: 'orderedSamples', args } as const
    const bounds = { seconds: 60, rows: 4, bytes: 1 << 20 }
    const result = await the('lab', engine).run(work, to, bounds, undefined, reads)
    const page = await readers[engine].resultRows({ path: to, ...result }, { offset: 0, limit: 9 })
    expect(page).toEqual(expected.map(row => Object.values(row)))
  })
})

test('a query function of more than there is memory for is computed in a process of its own, which finds the same', async () => {
  await using made = await testFolder(arrow)
  const files = await made.filled(lab, {
    protocols: `SELECT 'ph' AS assay, 1 AS revision, 'Acidity' AS title, 6.5 AS lowerLimit, 7.5 AS upperLimit`,
    readings: `SELECT 'n' || i AS sampleId, 'ph' AS assay, 1 AS revision, i % 3 AS replicate, DATE '2024-01-01' AS takenOn,
                      TIMESTAMP '2024-01-01 09:00:00' AS takenAt, i % 1000 AS amount, i AS counts, 0.5 AS signal, true AS valid
               FROM range(500000) AS n (i)`,
  })
  const own = join(folder, 'processes')
  const few = await arrow.startReaders({ memoryBytes: 24 << 20 }, { kindsDir, folder: own })
  try {
    const [small, large] = await Promise.all([few, readers.ARROW].map(each => each.open({ kind: lab, files })))
    if (!small || !large) throw new Error('both are open')
    const ask = (reader: SnapshotReader, args: Row, page: QueryPage, signal?: AbortSignal) =>
      reader.query('outsideLimits', args, page, signal)
    const args = { assay: 'ph', revision: 1, tolerance: '0.050000' }
    let after: QueryRows['positions'][number] | undefined
    for (const count of [true, false]) {
      const page = { limit: 50, count, ...(after && { after }) }
      const [found, expected] = await Promise.all([ask(small, args, page), ask(large, args, page)])
      expect(found).toEqual(expected)
      expect([found.rows.length, found.total]).toEqual([50, count ? 499_500n : null])
      after = found.positions.at(-1)
    }
    expect(await readdir(own)).toHaveLength(1)
    const page = { limit: 1, count: true }
    await expect(ask(small, { ...args, assay: 'none' }, page)).rejects.toMatchObject({ code: 'NO_PROTOCOL' })
    const caller = new AbortController()
    const running = ask(small, { ...args, tolerance: '1.000000' }, page, caller.signal)
    caller.abort(new Error('gone'))
    await expect(running).rejects.toThrow('gone')
    await Promise.all([small.close(), large.close()])
  } finally {
    await few.close()
  }
  expect(await readdir(own)).toEqual([])
})
