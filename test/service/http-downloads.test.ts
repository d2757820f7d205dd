import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import { heldBytes } from '../support/held-memory.ts'
import { openServer, read, send, type TestServer, until } from '../support/http-server.ts'

/** More than what sockets hold of it on their way. */
const ROWS = 300_000
let server: TestServer
let model: string
beforeAll(async () => {
  server = await openServer()
  model = await largeModel()
})
afterAll(() => server[Symbol.asyncDispose]())

async function largeModel(rows = ROWS): Promise<string> {
  const id = await server.salesModel()
  const lines = Array.from(
    { length: rows },
    (_, row) => `O${row},1,2024-05-17,S${row % 9},T${row % 70},C${row % 900},P${row % 40},2,${row}.5`,
  )
  const csv = `orderId,line,date,siteId,productId,customerId,salespersonId,quantity,amount\n${lines.join('\n')}\n`
  const upload = (await send(`${server.url}/uploads`, { method: 'POST' }, csv)).json().id
  const intent = await server.run(id, 'importSales', { source: { upload: { id: upload } }, mode: 'APPEND' })
  expect(intent.error).toBeNull()
  return id
}

const FORMATS = ['arrow', 'csv', 'ndjson', 'parquet'] as const
/** The answer, of which nothing is taken yet. */
async function begin(path: string): Promise<IncomingMessage> {
  const sent = request(`${server.url}/content/${path}`, { agent: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return response
}

/** Takes all of it: how many bytes and their digest. */
async function digest(response: IncomingMessage): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of response) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

test.each(FORMATS)('a client of %s that goes away in the middle ends the reading', async format => {
  const response = await begin(`${model}/1/sales.${format}`)
  expect(server.held).toBe(1)
  response.destroy()
  await until(() => server.held === 0)
})

test('what a slow client has not taken is not in memory, and it gets all of it', async () => {
  const before = heldBytes()
  const path = `${model}/1/sales.ndjson`
  const slow = await begin(path)
  onTestFinished(() => void slow.destroy())
  // By then the other one has gone on for as long as it could.
  const quick = await digest(await begin(path))
  expect(quick.bytes).toBeGreaterThan(150 * ROWS)
  await expect.poll(() => heldBytes() - before).toBeLessThan(16 * 2 ** 20)
  expect(await digest(slow)).toEqual(quick)
})

test('slow downloads hold up no query, and past their places and their line others are told to come again', async () => {
  const path = `${model}/1/sales.ndjson`
  const slow = await Promise.all(Array.from({ length: 16 }, () => begin(path)))
  const line = Array.from({ length: 65 }, () => request(`${server.url}/content/${path}`, { agent: false }).end())
  const first = (await Promise.race(line.map(sent => once(sent, 'response')))) as [IncomingMessage]
  const refused = await read(first[0])
  expect([refused.status, refused.json().error.code]).toEqual([503, 'UNAVAILABLE'])
  const query = `query ($id: ID!) { salesModel(id: $id) { snapshot { sales(where: { line: { eq: 1 } }) { totalCount } } } }`
  const { data } = await server.answer(query, { id: model })
  expect(Number(data.salesModel.snapshot.sales.totalCount)).toBe(ROWS)
  expect((await send(`${server.url}/content/${path}`, { method: 'HEAD' })).status).toBe(200)
  for (const sent of line) sent.on('error', () => {}).destroy()
  for (const response of slow) response.destroy()
  await until(() => server.held === 0)
  expect((await digest(await begin(`${model}/1/sales.csv?columns=line`))).bytes).toBe('line\n'.length + ROWS * 2)
})

test('an answer that cannot be read to its end breaks off', async () => {
  for (const format of ['csv', 'arrow']) {
    // So large that not all of it has been read when its end is spoilt; and another each time: what was found broken is not read again.
    const broken = await largeModel(2 * ROWS)
    const found = await server.snapshots.find(broken, { version: 1 }, 0)
    const path = new ModelFiles(server.dataDir, broken).snapshotFiles(found, ['model.duckdb'])['model.duckdb'] ?? ''
    const response = await begin(`${broken}/1/sales.${format}`)
    await using file = await open(path, 'r+')
    const { size } = await file.stat()
    await file.write(Buffer.alloc(size / 2, 0xa5), 0, size / 2, size / 2)
    expect(response.statusCode).toBe(200)
    await expect(digest(response)).rejects.toThrow('aborted')
    await until(() => server.held === 0)
  }
})
