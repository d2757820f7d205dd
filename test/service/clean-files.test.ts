import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open, readdir, rm } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { VersionDownloads } from '../../src/jobs/downloads.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import type { Version } from '../../src/jobs/records.ts'
import { openServer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer({ idleMs: 0 })
})
afterAll(() => server[Symbol.asyncDispose]())

/** A model whose version 2 is a base and a WAL with one more sale. */
async function walModel(): Promise<string> {
  return server.salesModel(
    ['appendSales', { rows: Array.from({ length: 500 }, (_, order) => sale({ orderId: `O${order}` })) }],
    ['appendSales', { rows: [sale({ orderId: 'B' })] }],
  )
}
const versionOf = (model: string, version = 2): Promise<Version> => server.snapshots.find(model, { version }, 0)
const cleanDir = (model: string) => join(server.dataDir, 'models', model, 'clean')
const cleanOnes = (model: string) => readdir(cleanDir(model)).catch(() => [])
const at = (path: string, options = {}) => send(`${server.url}/content/${path}`, options)
const digest = (from: Uint8Array | string) => createHash('sha256').update(from).digest('hex')
const roles = (model: string) =>
  server.db.query<{ name: string; role: string }>(
    'SELECT name, role FROM content_index WHERE model = $1 AND version = 2 AND form = $2 ORDER BY name',
    [model, 'DUCKDB'],
  )

describe('a version that is a base and a WAL', () => {
  test('is made into one file once, however many ask for it at once', async () => {
    const model = await walModel()
    const answers = await Promise.all(Array.from({ length: 6 }, () => at(`${model}/2/model.duckdb`)))
    const blocks = (await at(`${model}/2/blocks`)).json()
    const tag = `"${digest(blocks.blocks.join('\n'))}"`
    expect(answers.map(({ status, headers }) => [status, headers.etag])).toEqual(Array(6).fill([200, tag]))
    expect(new Set(answers.map(({ body }) => digest(body))).size).toBe(1)
    expect(blocks).toMatchObject({ version: 2, bytes: answers[0]?.body.length, blockSize: 262_144 })
    const { epoch } = await versionOf(model)
    expect(await cleanOnes(model)).toEqual([`2-${epoch}`])
    expect(await roles(model)).toEqual([
      { name: 'base.duckdb', role: 'PUBLISHED' },
      { name: 'base.duckdb.wal', role: 'PUBLISHED' },
      { name: 'model.duckdb', role: 'CLEAN' },
    ])
  })

  test('has an address for the one file alone, with its checksum', async () => {
    const model = await walModel()
    const asked = [
      `{ model(id: "${model}") { contentIndex(version: 2, form: DUCKDB) { nodes { form url sha256 bytes } } } }`,
      `{ model(id: "${model}") { snapshot(at: { version: 2 }) { content { form url sha256 bytes } } } }`,
    ]
    const fetched = async (query: string) => {
      const { contentIndex, snapshot } = (await server.answer(query)).data.model
      return (contentIndex?.nodes ?? snapshot.content).filter(
        ({ form, url }: { form: string; url: string | null }) => form === 'DUCKDB' && url !== null,
      )
    }
    // Who does not ask where it is to be had has nothing made for him.
    await server.answer(`{ model(id: "${model}") { snapshot(at: { version: 2 }) { content { uri sha256 } } } }`)
    expect(await cleanOnes(model)).toEqual([])
    for (const query of asked) {
      const [file, ...more] = await fetched(query)
      expect(more).toEqual([])
      expect(file.url).toContain(`${server.url}/content/${model}/2/model.duckdb?expires=`)
      const { headers } = await send(file.url, { method: 'HEAD' })
      expect([headers.etag, headers['content-length']]).toEqual([`"${file.sha256}"`, file.bytes])
      await rm(cleanDir(model), { recursive: true })
      await server.db.query(`DELETE FROM content_index WHERE model = $1 AND role = 'CLEAN'`, [model])
    }
  })

  test('is the same file for processes that make it at once', async () => {
    const model = await walModel()
    const version = await versionOf(model)
    const processes = Array.from({ length: 3 }, () => new VersionDownloads(server))
    const files = await Promise.all(processes.map(files => files.file(version, 'model.duckdb')))
    expect(new Set(files.map(({ sha256 }) => sha256)).size).toBe(1)
    expect(await cleanOnes(model)).toEqual([`2-${version.epoch}`])
    const answer = await at(`${model}/2/blocks`)
    expect(digest(answer.json().blocks.join('\n'))).toBe(files[0]?.sha256)
  })

  test('is made to its end for those who wait, though the first who asked goes away', async () => {
    const model = await walModel()
    const left = request(`${server.url}/content/${model}/2/model.duckdb`, { agent: false }).end()
    left.on('error', () => {})
    await once(left, 'finish')
    const stays = at(`${model}/2/model.duckdb`)
    left.destroy()
    expect((await stays).status).toBe(200)
  })

  test('goes when the version is let go, also while it is being made', async () => {
    const [kept, making] = [await walModel(), await walModel()]
    const version = await versionOf(making)
    await at(`${kept}/2/model.duckdb`)
    await server.db.query('UPDATE goal_model SET version = 9 WHERE id = ANY($1)', [[kept, making]])
    const made = new VersionDownloads(server).file(version, 'model.duckdb')
    const refused = expect(made).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
    // Who has just downloaded it gives it back in a moment.
    const left = async (model: string) => {
      await letGo({ ...server, pagedDisk: 8 }, model)
      return [await cleanOnes(model), await roles(model)]
    }
    // The one that is being made at once, which takes a process of its own: it is not to be there before.
    for (const model of [making, kept]) await expect.poll(() => left(model)).toEqual([[], []])
    await refused
  })

  test('is made again where a process was killed over it', async () => {
    const model = await walModel()
    const version = await versionOf(model)
    const files = new VersionDownloads(server)
    const { sha256 } = await files.file(version, 'model.duckdb')
    await rm(cleanDir(model), { recursive: true })
    const again = await files.file(version, 'model.duckdb')
    expect((await at(`${model}/2/model.duckdb`)).headers.etag).toBe(`"${again.sha256}"`)
    expect(sha256).toMatch(/^[0-9a-f]{64}$/)
  })
})

test('its blocks are asked for again, since a file that was made anew has others, and the file itself may be kept for ever', async () => {
  const model = await walModel()
  const first = await at(`${model}/2/blocks`)
  expect(first.headers['cache-control']).toBe('no-cache')
  expect((await at(`${model}/2/model.duckdb`)).headers['cache-control']).toContain('immutable')
  const known = { headers: { 'if-none-match': `${first.headers.etag}` } }
  expect((await at(`${model}/2/blocks`, known)).status).toBe(304)
  await server.db.query(`UPDATE content_index SET sha256 = repeat('0', 64) WHERE model = $1 AND role = 'CLEAN'`, [
    model,
  ])
  await rm(cleanDir(model), { recursive: true })
  const again = await at(`${model}/2/blocks`, { headers: { 'if-none-match': `"${'0'.repeat(64)}"` } })
  expect([again.status, again.headers.etag]).toEqual([200, `"${digest(again.json().blocks.join('\n'))}"`])
})

test('a file that is not what was published is not handed out', async () => {
  const model = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
  const { epoch } = await versionOf(model, 1)
  const path = join(new ModelFiles(server.dataDir, model).versionDir(1, epoch), 'model.duckdb')
  {
    await using file = await open(path, 'r+')
    await file.write(Buffer.from([0xff, 0xfe]), 0, 2, 20_000)
  }
  for (const name of ['blocks', 'model.duckdb']) {
    const answer = await at(`${model}/1/${name}`)
    expect([answer.status, answer.json().error.code]).toEqual([503, 'UNAVAILABLE'])
  }
  expect(await cleanOnes(model)).toEqual([])
})

test('a download under way goes on to its end when its version is let go', async () => {
  const rows = Array.from({ length: 9_000 }, (_, order) => sale({ orderId: digest(String(order)) }))
  const model = await server.salesModel(['appendSales', { rows }], ['appendSales', { rows: [sale({ orderId: 'B' })] }])
  const sent = request(`${server.url}/content/${model}/2/model.duckdb`, { agent: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  await server.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [model])
  await letGo({ ...server, pagedDisk: 8 }, model)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  expect(String(bytes)).toBe(response.headers['content-length'])
})
