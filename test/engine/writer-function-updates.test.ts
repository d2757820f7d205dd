import { expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import { arg, defineFunction, defineKind } from '../../src/kinds/index.ts'
import { querySnapshot, refusedWith, resultOf, rowsOf, WriterModel } from './writer-model.ts'

const ROWS = 12_000

/** A kind whose function updates as the context does, or as plain SQL does. */
const shelf = checkKind(
  defineKind({
    name: 'shelf',
    description: 'Jars on a shelf',
    engines: ['DUCKDB'],
    tables: {
      jars: {
        row: 'Jar',
        description: 'Jars',
        columns: { jar: 'INTEGER', grams: 'DECIMAL(9,2)', less: 'DECIMAL(9,2)?', label: 'VARCHAR?' },
        key: ['jar'],
        writes: ['append'],
      },
    },
    functions: {
      fill: defineFunction({
        description: 'Puts jars on the shelf',
        arguments: { rows: arg.integer() },
        result: { name: 'Filled', description: 'Nothing to tell', columns: { done: 'BOOLEAN' } },
        engines: {
          DUCKDB: async ({ args, sql }) => {
            await sql.run(`INSERT INTO jars SELECT i, i / 7, NULL, 'jar ' || i FROM range(${args.rows}) r (i)`)
            return { done: true }
          },
        },
      }),
      change: defineFunction({
        description: 'Updates jars',
        arguments: { set: arg.varchar(), where: arg.varchar(), isPlain: arg.boolean() },
        result: { name: 'Changed', description: 'How many', columns: { jars: 'BIGINT' } },
        engines: {
          DUCKDB: async ({ args, sql, update }) => {
            const set: Record<string, string> = JSON.parse(args.set)
            const params = { twice: '2.00' }
            if (!args.isPlain) return { jars: String(await update('jars', { set, where: args.where, params })) }
            const list = Object.entries(set).map(([column, value]) => `"${column}" = ${value}`)
            const [row] = await sql.all(`UPDATE jars SET ${list.join(', ')} WHERE ${args.where}`, params)
            return { jars: String(row?.Count) }
          },
        },
      }),
    },
  }),
)

test('an update of the context does what UPDATE does, to few rows and to many', async () => {
  await using model = await WriterModel.open(shelf)
  await using plain = await WriterModel.open(shelf)
  for (const each of [model, plain]) resultOf(await each.call('fill', { rows: ROWS }))
  const changes: [Record<string, string>, string][] = [
    [{ grams: 'grams * $twice::DECIMAL(9,2)' }, 'jar % 100 = 3'],
    [{ grams: 'coalesce(less, 1)', less: 'grams' }, 'jar < 40 OR $twice::DECIMAL(9,2) > grams'],
    [{ less: 'NULL', label: `label || ' of ' || (SELECT count(*) FROM jars)` }, 'jar % 2 = 0 AND $twice IS NOT NULL'],
    [{ label: `'none' || $twice` }, 'FALSE'],
    [{ less: '$twice' }, 'less IS NULL AND less IS DISTINCT FROM $twice::DECIMAL(9,2)'],
    [{ label: 'upper(label) || $twice' }, 'jar IN (SELECT jar + 1 FROM jars WHERE less = 2) AND jar < 5000'],
  ]
  for (const [set, where] of changes) {
    const args = { set: JSON.stringify(set), where }
    const found = resultOf(await model.call('change', { ...args, isPlain: false }))
    expect(found, where).toEqual(resultOf(await plain.call('change', { ...args, isPlain: true })))
    expect(await model.rows('jars'), where).toEqual(await rowsOf((await plain.snapshot()).files, shelf, 'jars'))
  }
})

test.each([
  ['the context', false],
  ['SQL', true],
])('few rows that %s updates are changed in place: %s', async (_, isPlain) => {
  await using model = await WriterModel.open(shelf)
  resultOf(await model.call('fill', { rows: ROWS }))
  await model.snapshot()
  const args = { set: JSON.stringify({ label: `$twice || 'x'` }), where: 'jar % 20 = 3', isPlain }
  expect(resultOf(await model.call('change', args)).jars).toBe('600')
  const inPlace = `SELECT bool_or(has_updates) AS any FROM pragma_storage_info('jars')`
  expect(await querySnapshot((await model.snapshot()).files, inPlace)).toEqual([{ any: isPlain }])
})

test.each([
  ['a column that is not there', { set: JSON.stringify({ bread: '1' }), where: '$twice IS NOT NULL' }],
  ['no column', { set: '{}', where: '$twice IS NOT NULL' }],
  ['a key twice', { set: JSON.stringify({ jar: '1' }), where: 'jar < 4 AND $twice IS NOT NULL' }],
  ['null where there may be none', { set: JSON.stringify({ grams: 'NULL' }), where: 'jar < 4 AND $twice IS NOT NULL' }],
])('an update that sets %s fails, and leaves nothing', async (_, args) => {
  await using model = await WriterModel.open(shelf)
  resultOf(await model.call('fill', { rows: 20 }))
  const before = await model.rows('jars')
  expect(refusedWith(await model.call('change', { ...args, isPlain: false })).code).toMatch(/INTERNAL|BAD_VALUE/)
  expect(await model.rows('jars')).toEqual(before)
})
