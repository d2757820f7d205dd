import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'

let kinds: string
beforeEach(async () => {
  kinds = await mkdtemp(join(tmpdir(), 'teatree-kinds-'))
})
afterEach(() => rm(kinds, { recursive: true, force: true }))

/** The kind `crate`, with these columns of its jars and these further tables. */
const define = (columns: string, tables = '') =>
  writeFile(
    join(kinds, 'crate.ts'),
    `import { defineKind } from 'teatree'
     export default defineKind({
       name: 'crate', description: 'Jars in a crate', prefix: '', engines: ['DUCKDB'],
       tables: {
         jars: { row: 'Jar', description: 'Jars', columns: { jar: 'VARCHAR', ${columns} }, key: ['jar'], writes: ['append'] },
         ${tables}
       },
     })`,
  )

const CREATE = 'mutation { createModel(input: { id: "pantry", kind: "crate" }) { id } }'
const APPEND =
  'mutation ($rows: [JarInput!]!) { appendJars(model: "pantry", rows: $rows, waitMs: 30000) { status version } }'
const STATE = `{ model(id: "pantry") { version manager { state reason { code details } } intents { totalCount } } }`

test('what a kind has got is a version of its own, without anyone asking; older versions have none of it', async () => {
  await define(`grams: 'INTEGER'`)
  await using platform = await startPlatform({ TEATREE_KINDS: kinds })
  await platform.graphql(CREATE)
  await platform.graphql(APPEND, { rows: [{ jar: 'plum', grams: 300 }] })

  const lids = `lids: { row: 'Lid', description: 'Lids', columns: { lid: 'VARCHAR' }, key: ['lid'], writes: ['append'] },`
  await define(`grams: 'INTEGER', colour: 'VARCHAR?'`, lids)
  await platform.restart()
  const read = (version: number) =>
    platform.graphql(`{ crateModel(id: "pantry") { snapshot(at: { version: ${version} }, waitMs: 30000) {
      lastSeq jars { nodes { jar grams colour } } lids { totalCount } } } }`)
  const rows = { jars: { nodes: [{ jar: 'plum', grams: 300, colour: null }] }, lids: { totalCount: '0' } }
  expect(await read(2)).toEqual({ crateModel: { snapshot: { lastSeq: '1', ...rows } } })
  expect(await read(1)).toEqual({ crateModel: { snapshot: { lastSeq: '1', ...rows } } })
  expect(await platform.graphql(STATE)).toMatchObject({ model: { version: 2, intents: { totalCount: 1 } } })
  await platform.graphql(APPEND, { rows: [{ jar: 'fig', grams: 200, colour: 'green' }] })
  const { crateModel } = await read(3)
  expect(crateModel.snapshot.jars.nodes).toContainEqual({ jar: 'fig', grams: 200, colour: 'green' })
})

test('a version that is what a kind has got comes back with the disk, from the archive before it', async () => {
  await define(`grams: 'INTEGER'`)
  await using platform = await startPlatform({ TEATREE_KINDS: kinds })
  await platform.graphql(CREATE)
  await platform.graphql(APPEND, { rows: [{ jar: 'plum', grams: 300 }] })
  await define(`grams: 'INTEGER', colour: 'VARCHAR?'`)
  await platform.restart()
  const read = `{ crateModel(id: "pantry") { snapshot(at: { version: 2 }, waitMs: 60000) { version lastSeq jars { nodes { jar grams colour } } } } }`
  const before = await platform.graphql(read)
  await platform.restart(async () => {
    await query(platform.databaseUrl, 'DELETE FROM archive WHERE version = 2')
    await rm(join(platform.dir, 'data'), { recursive: true })
  })
  expect(await platform.graphql(read)).toEqual(before)
  const appended = await platform.graphql(APPEND, { rows: [{ jar: 'fig', grams: 200, colour: 'green' }] })
  expect(appended).toEqual({ appendJars: { status: 'PUBLISHED', version: 3 } })
})

test('any other change leaves the model BLOCKED, says what differs, and is over when the kind is what it was', async () => {
  await define(`grams: 'INTEGER'`)
  await using platform = await startPlatform({ TEATREE_KINDS: kinds })
  await platform.graphql(CREATE)
  await platform.graphql(APPEND, { rows: [{ jar: 'plum', grams: 300 }] })

  await define(`grams: 'BIGINT'`)
  await platform.restart()
  const state = async () => (await platform.graphql(STATE)).model.manager
  await vi.waitFor(async () => expect((await state()).state).toBe('BLOCKED'), { timeout: 30_000 })
  expect((await state()).reason).toMatchObject({
    code: 'KIND_CHANGED',
    details: { differences: ['column jars.grams was INTEGER and is BIGINT'] },
  })

  await define(`grams: 'INTEGER'`)
  await platform.restart()
  const appended = await platform.graphql(APPEND, { rows: [{ jar: 'fig', grams: 200 }] })
  expect(appended).toEqual({ appendJars: { status: 'PUBLISHED', version: 2 } })
  expect(await state()).toMatchObject({ reason: null })
})
