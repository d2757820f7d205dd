import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pull } from '../../src/commands/pull.ts'
import { type Answer, openServer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'
import { type Passing, startTamperingServer } from '../support/tampering-server.ts'

let server: TestServer
let model: string
let to: string
beforeAll(async () => {
  server = await openServer()
  const rows = Array.from({ length: 5_000 }, (_, order) => sale({ orderId: `O${order}` }))
  model = await server.salesModel(['appendSales', { rows }])
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  to = await mkdtemp(join(tmpdir(), 'teatree-pull-'))
})
afterEach(() => rm(to, { recursive: true, force: true }))

const { signal } = new AbortController()
const from = (url: string, more = {}) =>
  pull(model, { url: `${url}/graphql`, to, patience: { firstMs: 1, tries: 3 }, signal, ...more })
const isFile = ({ path }: Passing) => /model\.duckdb/.test(path)
const ofFile = (change: (passing: Passing) => Partial<Passing>) => (passing: Passing) => {
  if (isFile(passing)) Object.assign(passing, change(passing))
}
const there = async () => (await readdir(join(to, model)).catch(() => [])).filter(name => !name.endsWith('.part'))

/** Changes the JSON of the answers at a path. */
const json =
  (path: string, change: (value: Answer) => void) =>
  (passing: Passing): void => {
    if (!passing.path.includes(path) || passing.status !== 200) return
    const value = JSON.parse(passing.body.toString())
    change(value)
    passing.body = Buffer.from(JSON.stringify(value))
  }
const details = (change: (model: Answer) => void) => json('/graphql', ({ data }) => change(data.model))

const REFUSED: [what: string, tamper: (passing: Passing) => void, message: RegExp][] = [
  ['a size beyond all sizes', json('/blocks', value => Object.assign(value, { bytes: 2 ** 50 })), /block manifest/],
  ['fewer blocks than bytes', json('/blocks', ({ blocks }) => blocks.pop()), /block manifest/],
  ['blocks of another size', json('/blocks', value => Object.assign(value, { blockSize: 1 })), /block manifest/],
  [
    'a version that is a path',
    json('/blocks', value => Object.assign(value, { version: '../../up' })),
    /block manifest/,
  ],
  ['no JSON', passing => Object.assign(passing, { body: Buffer.from('<html>') }), /block manifest/],
  [
    'no server of ours',
    passing => Object.assign(passing, { status: 404, body: Buffer.from('<html>') }),
    /answered 404; is it/,
  ],
  ['another model', details(value => Object.assign(value, { id: 'other' })), /another version/],
  ['a model that is a path', details(value => Object.assign(value, { id: '../up' })), /model.id/],
  [
    'an engine whose versions are no single file',
    details(value => Object.assign(value, { engine: 'ARROW' })),
    /another version/,
  ],
  ['no engine of ours', details(value => Object.assign(value, { engine: 'CSV' })), /model.engine/],
  ['rows without number', details(({ snapshot }) => Object.assign(snapshot.tables[0], { rows: '-1' })), /tables/],
  ['a checksum of other blocks', json('/blocks', ({ blocks }) => blocks.fill('0'.repeat(64))), /moves on faster/],
  ['the whole where a part was asked for', ofFile(() => ({ status: 200 })), /moves on faster/],
  [
    'blocks that are not what they should be',
    passing => void (isFile(passing) && passing.body.write('spoilt', 20_000)),
    /broke off too often/,
  ],
  ['ranges that are too short', ofFile(() => ({ body: Buffer.alloc(0) })), /broke off too often/],
  ['faults alone', ofFile(() => ({ status: 500 })), /broke off too often/],
]
test.each(REFUSED)('%s is refused, and nothing is there afterwards', async (_, tamper, message) => {
  await using tampering = await startTamperingServer(server.url, tamper)
  const error = await from(tampering.url).catch(error => error)
  expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) })
  expect(await there()).toEqual([])
})

test('a block that was spoilt on its way is asked for again', async () => {
  let spoilt = 0
  await using tampering = await startTamperingServer(server.url, passing => {
    if (isFile(passing) && spoilt++ < 2) passing.body.write('spoilt', 20_000)
  })
  await from(tampering.url)
  const whole = (await send(`${server.url}/content/${model}/1/model.duckdb`)).body
  expect((await readFile(join(to, model, '1.duckdb'))).equals(whole)).toBe(true)
})

test('more bytes than were asked for go nowhere', async () => {
  await using tampering = await startTamperingServer(server.url, passing => {
    if (isFile(passing)) passing.body = Buffer.concat([passing.body, Buffer.alloc(1_000_000, 'x')])
  })
  const { bytes, fetched } = await from(tampering.url)
  expect(fetched).toBeLessThan(bytes + 100_000)
})

test('a store that the server sends us to gets no token, and where it does not work the server is asked', async () => {
  await using store = await startTamperingServer(server.url, () => {})
  let reachable = true
  await using front = await startTamperingServer(server.url, passing => {
    if (!isFile(passing) || passing.path.includes('from=server')) return
    const target = reachable ? store.url : 'http://127.0.0.1:1'
    Object.assign(passing, { status: 307, headers: { location: `${target}${passing.path}` }, body: Buffer.alloc(0) })
  })
  const { bytes } = await from(front.url, { token: 'mine' })
  expect(front.requests.map(({ headers }) => headers.authorization)).toEqual(front.requests.map(() => 'Bearer mine'))
  expect(store.requests.length).toBeGreaterThan(0)
  expect(store.requests.map(({ headers }) => headers.authorization)).toEqual(store.requests.map(() => undefined))
  await rm(join(to, model), { recursive: true })
  reachable = false
  const again = await from(front.url, { token: 'mine' })
  expect(again).toMatchObject({ bytes })
  expect(front.requests.some(({ url }) => url?.includes('from=server'))).toBe(true)
})
