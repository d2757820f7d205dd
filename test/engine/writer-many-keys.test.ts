import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inMemory } from '../../src/engine/duckdb/in-memory.ts'
import { literal } from '../../src/engine/duckdb/sql.ts'
import type { Change, ImportMode } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineFunction, defineKind } from '../../src/kinds/index.ts'
import { MAX_CELLS } from '../../src/platform/errors.ts'
import { arrow } from './engines.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

/** More than are looked for at once. */
const ROWS = 600_000

const renew = defineFunction({
  description: 'Appends rows, puts half of them and as many new ones in anew, and removes most.',
  arguments: {},
  result: {
    name: 'Renewed',
    description: 'What there is.',
    columns: { rows: 'BIGINT', sum: 'BIGINT', added: 'BIGINT' },
  },
  timeoutSeconds: 300,
  engines: {
    ARROW: async ({ pl, frame, rows, table, append, upsert, remove }) => {
      const numbers = (name: string, count: number) =>
        frame(
          { [name]: 'INTEGER' },
          Array.from({ length: count }, (_, index) => ({ [name]: index })),
        )
      const number = pl.col('most').mul(1000).add(pl.col('least')).cast(pl.Int32)
      const all = numbers('most', ROWS / 1000).join(numbers('least', 1000), { how: 'cross' })
      const numbered = (first: number, part: number) =>
        all.select(
          number.add(pl.lit(first)).cast(pl.Int32).alias('number'),
          pl.lit(null).cast(pl.Utf8).alias('name'),
          pl.lit(part).cast(pl.Int32).alias('part'),
        )
      await append('heaps', numbered(0, 1))
      await upsert('heaps', numbered(ROWS / 2, 2))
      const sums = async () => {
        const what = table('heaps').select(pl.len().alias('rows'), pl.col('part').cast(pl.Int64).sum().alias('sum'))
        const [found] = await rows(what)
        return { rows: String(found?.rows), sum: String(found?.sum) }
      }
      const { rows: added } = await sums()
      await remove('heaps', table('heaps').filter(pl.col('number').modulo(pl.lit(7)).neq(pl.lit(0))))
      return { ...(await sums()), added }
    },
  },
})

const kind = checkKind(
  defineKind({
    name: 'heaps',
    description: 'Many rows',
    engines: ['ARROW'],
    tables: {
      heaps: {
        row: 'Heap',
        description: 'One of many; the name is null in its key',
        columns: { number: 'INTEGER', name: 'VARCHAR?', part: 'INTEGER' },
        key: ['number', 'name'],
        writes: [],
      },
    },
    functions: { renew },
  }),
)

test('more keys than are looked for at once are found, each in its file', async () => {
  await using model = await WriterModel.open(kind, { engine: arrow })
  const change: Change = { is: 'function', name: 'renew', args: {}, reads: [] }
  const [outcome] = await model.apply(change)
  const parts = Array.from({ length: ROWS * 1.5 }, (_, number) => (number < ROWS / 2 ? 1 : 2))
  const left = parts.filter((_, number) => number % 7 === 0)
  const sum = left.reduce((sum, part) => sum + part, 0)
  expect(resultOf(outcome)).toEqual({ rows: String(left.length), sum: String(sum), added: String(parts.length) })
  const rows = await model.rows('heaps')
  expect(rows.map(({ number }) => number)).toEqual(left.map((_, index) => index * 7))
}, 120_000)

test('of more keys than are looked at at once, those that are there twice are told, or the last of them wins', async () => {
  await using model = await WriterModel.open(kind, { engine: arrow })
  const path = join(model.path, 'heaps.parquet')
  const numbered = (part: number, numbers: string) =>
    `SELECT i AS number, 'heap' AS name, ${part} AS part FROM ${numbers}`
  const twice = [5, ROWS - 1]
  const rows = `${numbered(1, `range(${ROWS}) AS n (i)`)} UNION ALL ${numbered(2, `unnest([${twice}]) AS n (i)`)}`
  const imported = async (select: string, mode: ImportMode) => {
    await inMemory(null, sql => sql.run(`COPY (${select}) TO ${literal(path)} (FORMAT parquet)`))
    const source = { is: 'file', path, format: 'PARQUET' } as const
    const [outcome] = await model.apply({ is: 'import', table: 'heaps', mode, source })
    return outcome
  }
  for (const mode of ['APPEND', 'REPLACE'] as const) {
    const { code, cells } = refusedWith(await imported(rows, mode))
    expect(code).toBe('KEY_CONFLICT')
    expect(cells).toEqual(
      twice.map((number, index) => ({
        ...{ row: ROWS + index + 1, column: 'number, name' },
        message: `${number}, "heap" is there twice in these rows`,
      })),
    )
  }
  expect(resultOf(await imported(rows, 'UPSERT'))).toMatchObject({ inserted: String(ROWS), updated: '0' })
  expect(resultOf(await imported(rows, 'UPSERT'))).toMatchObject({ inserted: '0', updated: String(ROWS) })
  const found = await model.rows('heaps')
  expect(found.map(({ number, part }) => [number, part])).toEqual(
    Array.from({ length: ROWS }, (_, number) => [number, twice.includes(number) ? 2 : 1]),
  )
  const there = refusedWith(await imported(numbered(3, `range(1, ${ROWS + 100}) AS n (i)`), 'APPEND'))
  expect(there.cells).toEqual(
    Array.from({ length: MAX_CELLS }, (_, index) => ({
      ...{ row: index + 1, column: 'number, name' },
      message: `${index + 1}, "heap" is there already`,
    })),
  )
}, 120_000)
