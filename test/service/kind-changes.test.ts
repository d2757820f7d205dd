import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'

/*
 * One platform, stopped and started again with its kinds changed: the crate gets something, what the shelf has becomes
 * another thing. The tests go on from each other.
 */
let kinds: string
let platform: TestPlatform
let stack: AsyncDisposableStack
beforeAll(async () => {
  stack = new AsyncDisposableStack()
  kinds = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-kinds-')), path => rm(path, { recursive: true }))
  await define('crate', 'jars', 'Jar', `grams: 'INTEGER'`)
  await define('shelf', 'books', 'Book', `pages: 'INTEGER'`)
  platform = stack.use(await startPlatform({ TEATREE_KINDS: kinds }))
  for (const [id, kind] of [
    ['pantry', 'crate'],
    ['study', 'shelf'],
  ])
    await platform.graphql(`mutation { createModel(input: { id: "${id}", kind: "${kind}" }) { id } }`)
  expect(await appendJar({ jar: 'plum', grams: 300 })).toMatchObject({ version: 1 })
  expect(await appendBook({ book: 'Emma', pages: 474 })).toMatchObject({ version: 1 })
}, 180_000)
afterAll(() => stack.disposeAsync())

/** A kind with one table, whose columns these are beside its key, and further tables. */
const define = (name: string, table: string, row: string, columns: string, tables = '') =>
  writeFile(
    join(kinds, `${name}.ts`),
    `import { defineKind } from 'teatree'
     export default defineKind({
       name: '${name}', description: 'A ${name}', prefix: '', engines: ['DUCKDB'],
       tables: {
         ${table}: {
           row: '${row}', description: 'What is in it', key: ['${row.toLowerCase()}'], writes: ['append'],
           columns: { ${row.toLowerCase()}: 'VARCHAR', ${columns} },
         },
         ${tables}
       },
     })`,
  )

const append = async (mutation: string, type: string, row: Record<string, unknown>) => {
  const data = await platform.graphql(
    `mutation ($rows: [${type}!]!) { appended: ${mutation}, rows: $rows, waitMs: 60000) { status version } }`,
    { rows: [row] },
  )
  return data.appended
}
const appendJar = (row: Record<string, unknown>) => append('appendJars(model: "pantry"', 'JarInput', row)
const appendBook = (row: Record<string, unknown>) => append('appendBooks(model: "study"', 'BookInput', row)
const readCrate = async (version: number) => {
  const { crateModel } =
    await platform.graphql(`{ crateModel(id: "pantry") { snapshot(at: { version: ${version} }, waitMs: 60000) {
    lastSeq jars { nodes { jar grams colour } } lids { totalCount } } } }`)
  return crateModel.snapshot
}

test('what a kind has got is a version of its own, without anyone asking; older versions have none of it', async () => {
  const lids = `lids: { row: 'Lid', description: 'Lids', columns: { lid: 'VARCHAR' }, key: ['lid'], writes: ['append'] },`
  await define('crate', 'jars', 'Jar', `grams: 'INTEGER', colour: 'VARCHAR?'`, lids)
  await define('shelf', 'books', 'Book', `pages: 'BIGINT'`)
  await platform.restart()
  const rows = { jars: { nodes: [{ jar: 'plum', grams: 300, colour: null }] }, lids: { totalCount: '0' } }
  expect(await readCrate(2)).toEqual({ lastSeq: '1', ...rows })
  expect(await readCrate(1)).toEqual({ lastSeq: '1', ...rows })
  expect(await platform.graphql(`{ model(id: "pantry") { version intents { totalCount } } }`)).toEqual({
    model: { version: 2, intents: { totalCount: 1 } },
  })
})

test('any other change leaves the model BLOCKED, and says what differs', async () => {
  const state = async () => {
    const { model } = await platform.graphql(
      `{ model(id: "study") { manager { state reason { code details } } version } }`,
    )
    return model
  }
  await vi.waitFor(async () => expect((await state()).manager.state).toBe('BLOCKED'), { timeout: 60_000 })
  expect(await state()).toMatchObject({
    version: 1,
    manager: {
      reason: { code: 'KIND_CHANGED', details: { differences: ['column books.pages was INTEGER and is BIGINT'] } },
    },
  })
})

test('a version that is what a kind has got comes back with the disk, from the archive before it', async () => {
  const before = await readCrate(2)
  await define('shelf', 'books', 'Book', `pages: 'INTEGER'`)
  await platform.restart(async () => {
    await query(platform.databaseUrl, `DELETE FROM archive WHERE model = 'pantry' AND version = 2`)
    await rm(join(platform.dir, 'data'), { recursive: true })
  })
  expect(await readCrate(2)).toEqual(before)
  expect(await appendJar({ jar: 'fig', grams: 200, colour: 'green' })).toEqual({ status: 'PUBLISHED', version: 3 })
  expect((await readCrate(3)).jars.nodes).toContainEqual({ jar: 'fig', grams: 200, colour: 'green' })
})

test('a model is BLOCKED no longer when its kind is what it was', async () => {
  expect(await appendBook({ book: 'Persuasion', pages: 249 })).toEqual({ status: 'PUBLISHED', version: 2 })
  const { model } = await platform.graphql(`{ model(id: "study") { manager { reason { code } } } }`)
  expect(model.manager.reason).toBeNull()
})
