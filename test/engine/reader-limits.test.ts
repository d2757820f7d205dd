import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Readers } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { duckdb, engines } from './engines.ts'
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

  const many = (count: number) =>
    folder.filled(orchard, {
      harvests: `SELECT 'n' || i AS name, i % 100 AS batch, CAST(i / 7 AS DECIMAL(18,4)) AS amount FROM range(${count}) AS n (i)`,
    })

  test('hundreds of reads of several versions at once are all answered', async () => {
    const files = await Promise.all([many(1_000), many(2_000), many(20_000)])
    const opened = await Promise.all(files.map(each => readers.open({ kind: orchard, files: each })))
    const reads = Array.from({ length: 300 }, async (_, index) => {
      const reader = opened[index % opened.length]
      const [counted] =
        (await reader?.aggregate({
          table: 'harvests',
          where: { is: 'compare', column: 'batch', op: 'lt', value: 10 },
          groups: [{ column: 'batch' }],
          measures: [{ is: 'count' }, { is: 'sum', column: 'amount' }],
          having: [],
          orderBy: [{ by: { is: 'group', index: 0 }, direction: 'ASC', nulls: 'LAST' }],
          // Another read each: of the same, one would be made for all.
          limit: 1 + index,
        })) ?? []
      return counted?.measures[0]
    })
    // Closed while most of them still wait: a reader waits for its own.
    const closed = Promise.all(opened.map(reader => reader.close()))
    const counts = await Promise.all(reads)
    await closed
    expect(new Set(counts)).toEqual(new Set(['10', '20', '200']))
  })

  // Functions are DuckDB's.
  test.runIf(engine === duckdb)(
    'a reader is detached after the last statement of its reads, and its connections serve the next one',
    async () => {
      const few = await engine.startReaders({ places: 2 })
      try {
        for (const size of [1, 2, 3]) {
          const reader = await few.open({ kind: orchard, files: await many(size) })
          const select = "SELECT count(*) AS whole, '' AS text, 0 AS amount, 0 AS share, NULL AS day FROM harvests"
          const reads = Array.from({ length: 4 }, () => reader.query('echo', { select }, { limit: 1, count: true }))
          await Promise.all([...reads, reader.close()])
          for (const read of reads) expect((await read).rows[0]?.whole).toBe(size)
          const other = await few.open({ kind: orchard, files: await many(size) })
          await Promise.all(Array.from({ length: 4 }, () => other.count('harvests', ALL)))
          await other.close()
        }
      } finally {
        await few.close()
      }
    },
  )

  test.runIf(engine === duckdb)(
    'reads past the places and the line are refused, a read that gives up makes room, and closing always can',
    async () => {
      const few = await engine.startReaders({ places: 1, maxWaiting: 1 })
      try {
        const reader = await few.open({ kind: orchard, files: await many(10) })
        const caller = new AbortController()
        const running = reader.query('grind', {}, { limit: 1, count: false }, caller.signal)
        const patience = new AbortController()
        const waiting = reader.count('harvests', ALL, patience.signal)
        await expect(reader.count('growers', ALL)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
        patience.abort(new Error('gave up'))
        await expect(waiting).rejects.toThrow('gave up')
        const next = reader.count('harvests', ALL)
        const closed = reader.close()
        caller.abort(new Error('stopped'))
        await expect(running).rejects.toThrow('stopped')
        expect(await next).toBe(10n)
        await closed
      } finally {
        await few.close()
      }
    },
  )

  test('a read of more than there is memory for is made of parts, and refused as too expensive where what comes of it is more', async () => {
    const small = await engine.startReaders({ memoryBytes: 24 * 2 ** 20 })
    try {
      const reader = await small.open({ kind: orchard, files: await many(1_000_000) })
      const plan = {
        table: 'harvests',
        where: ALL,
        groups: [{ column: 'name' }],
        measures: [],
        having: [],
        orderBy: [],
        limit: 1,
      }
      await expect(reader.aggregate(plan)).rejects.toMatchObject({ name: 'TeatreeError', code: 'QUERY_TOO_EXPENSIVE' })
      expect(await reader.count('harvests', ALL)).toBe(1_000_000n)
      const where = { is: 'compare', column: 'batch', op: 'lt', value: 10 } as const
      expect(await reader.count('harvests', where)).toBe(100_000n)
      const page = { table: 'harvests', columns: ['name', 'batch', 'amount', 'note'], where, limit: 2 }
      const byName = { column: 'name', direction: 'DESC', nulls: 'LAST' } as const
      const names = async (last: boolean) =>
        (await reader.rows({ ...page, orderBy: [byName], last })).map(({ name }) => name)
      expect(await names(false)).toEqual(['n999909', 'n999908'])
      expect(await names(true)).toEqual(['n1', 'n0'])
      const groups = { ...plan, groups: [{ column: 'batch' }], measures: [{ is: 'count' }] as const, limit: 200 }
      const counts = await reader.aggregate(groups)
      expect(counts).toHaveLength(100)
      expect(new Set(counts.map(({ measures }) => String(measures[0])))).toEqual(new Set(['10000']))
    } finally {
      await small.close()
    }
  })
})
