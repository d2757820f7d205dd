import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import pl from 'nodejs-polars'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import { comesTrue } from '../support/comes-true.ts'
import { openServer, send, type TestServer, until } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
let model: string
beforeAll(async () => {
  server = await openServer()
  const rows = Array.from({ length: 2_500 }, (_, order) => sale({ orderId: `O${order}`, amount: `${order}.5` }))
  model = await server.salesModel(
    ['upsertSites', { rows: SITES }],
    ['appendSales', { rows }],
    ['upsertSites', { rows: [{ siteId: 'S9', name: 'Nine', region: null, country: null }] }],
  )
})
afterAll(() => server[Symbol.asyncDispose]())

const SITES = [
  { siteId: 'S1', name: 'One, "the first"', region: '', country: null },
  { siteId: 'S2', name: 'Zwei\nZeilen', region: 'Süd', country: 'CH' },
]
const at = (path: string, options = {}) => send(`${server.url}/content/${path}`, options)
const IMMUTABLE = 'public, max-age=31536000, immutable'

describe('the snapshot file', () => {
  const file = () => `${model}/2/model.duckdb`
  const index = async () => {
    // Made when it is first asked for.
    await at(file(), { method: 'HEAD' })
    const found = await listContent(server.db, { model, version: 2, form: 'DUCKDB' }, { limit: 10 })
    const content = found.find(({ name }) => name === 'model.duckdb')
    if (!content) throw new Error('not in the index')
    return content
  }

  test('is served whole, with the tag that the index has', async () => {
    const { sha256, bytes } = await index()
    const answer = await at(file())
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({
      etag: `"${sha256}"`,
      'content-length': String(bytes),
      'cache-control': IMMUTABLE,
      'accept-ranges': 'bytes',
    })
    expect(answer.body.length).toBe(Number(bytes))
    expect(await rowsIn(answer.body, 'SELECT count(*)::INTEGER FROM sales')).toEqual([[2500]])
    const head = await at(file(), { method: 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers).toMatchObject({ etag: `"${sha256}"`, 'content-length': String(bytes) })
  })

  test('is served in ranges, so that a download can go on', async () => {
    const whole = (await at(file())).body
    const size = whole.length
    const { sha256 } = await index()
    const range = (value: string, more = {}) => at(file(), { headers: { range: value, ...more } })
    const cases: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=100-199', 100, 200],
      [`bytes=${size - 10}-`, size - 10, size],
      ['bytes=-7', size - 7, size],
      [`bytes=-${size + 5}`, 0, size],
      [`bytes=5-${size + 5}`, 5, size],
    ]
    for (const [value, start, end] of cases) {
      const answer = await range(value)
      expect([value, answer.status, answer.headers['content-range']]).toEqual([
        value,
        206,
        `bytes ${start}-${end - 1}/${size}`,
      ])
      expect(answer.body.equals(whole.subarray(start, end))).toBe(true)
      expect(answer.headers['content-length']).toBe(String(end - start))
    }
    for (const value of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=-', 'bytes=9-3', 'bytes=x-y'])
      expect([value, (await range(value)).status]).toEqual([value, 200])
    for (const value of [`bytes=${size}-`, 'bytes=-0']) {
      const answer = await range(value)
      expect([value, answer.status, answer.headers['content-range']]).toEqual([value, 416, `bytes */${size}`])
      expect(answer.json().error.code).toBe('BAD_VALUE')
    }
    expect((await range('bytes=5-9', { 'if-range': `"${sha256}"` })).status).toBe(206)
    expect((await range('bytes=5-9', { 'if-range': '"another"' })).status).toBe(200)
  })

  test('is not sent again to one who has it', async () => {
    const { sha256 } = await index()
    for (const tag of [`"${sha256}"`, `W/"${sha256}"`, `"x", "${sha256}"`, '*']) {
      const answer = await at(file(), { headers: { 'if-none-match': tag } })
      expect([tag, answer.status, answer.body.length]).toEqual([tag, 304, 0])
      expect(answer.headers.etag).toBe(`"${sha256}"`)
    }
    expect((await at(file(), { headers: { 'if-none-match': '"another"' } })).status).toBe(200)
  })

  test('has a manifest of its blocks, whose digest is the tag', async () => {
    const whole = (await at(file())).body
    const { version, bytes, blockSize, blocks } = (await at(`${model}/2/blocks`)).json()
    expect([version, bytes]).toEqual([2, whole.length])
    const digest = (from: Uint8Array | string) => createHash('sha256').update(from).digest('hex')
    const HEADERS = 3 * 4096
    const starts = [0, ...blocks.slice(1).map((_: string, block: number) => HEADERS + block * blockSize)]
    expect(starts.map((start, block) => digest(whole.subarray(start, starts[block + 1] ?? bytes)))).toEqual(blocks)
    expect(digest(blocks.join('\n'))).toBe((await index()).sha256)
  })

  test('a download that is given up leaves nothing open', async () => {
    const open = async () => (await readdir('/proc/self/fd')).length
    const before = await open()
    for (let time = 0; time < 20; time++) {
      const sent = request(`${server.url}/content/${file()}`, { agent: false }).end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      response.destroy()
      await once(response, 'close')
    }
    let now = await open()
    for (; now > before + 2; await wait(5)) now = await open()
    expect(now).toBeLessThanOrEqual(before + 2)
  })
})

describe('versions', () => {
  test('latest leads to the number', async () => {
    const answer = await at(`${model}/latest/sites.csv?columns=siteId`)
    expect(answer.status).toBe(302)
    expect(answer.headers).toMatchObject({
      location: '../3/sites.csv?columns=siteId',
      'cache-control': 'no-cache',
    })
    expect(await (await fetch(`${server.url}/content/${model}/latest/sites.csv?columns=siteId`)).text()).toBe(
      'siteId\nS1\nS2\nS9\n',
    )
  })

  test('what is not there, or not any more, is told apart', async () => {
    const gone = await server.salesModel(
      ...Array.from({ length: 6 }, (_, n): [string, Record<string, unknown>] => [
        'upsertSites',
        { rows: [{ siteId: `S${n}`, name: 'x' }] },
      ]),
    )
    const kept = async () => (await server.snapshots.kept(gone, 10, null)).map(({ version }) => version)
    const letGo = async () => !(await kept()).includes(1)
    expect(await comesTrue(letGo)).toBe(true)
    const cases: [string, number, string][] = [
      ['nobody/1/sites.csv', 404, 'NOT_FOUND'],
      ['no%00body/1/sites.csv', 404, 'NOT_FOUND'],
      [`${model}/4/sites.csv`, 404, 'NOT_FOUND'],
      [`${model}/-1/sites.csv`, 404, 'NOT_FOUND'],
      [`${model}/1e0/sites.csv`, 404, 'NOT_FOUND'],
      [`${model}/2/nothing.csv`, 404, 'NOT_FOUND'],
      [`${model}/2/__proto__.csv`, 404, 'NOT_FOUND'],
      [`${model}/2/..%2F..%2Fmodel.duckdb`, 404, 'NOT_FOUND'],
      [`${model}/2/model.duckdb.wal`, 404, 'NOT_FOUND'],
      [`${gone}/1/model.duckdb`, 410, 'SNAPSHOT_GONE'],
      [`${gone}/1/blocks`, 410, 'SNAPSHOT_GONE'],
      [`${gone}/1/sites.csv`, 410, 'SNAPSHOT_GONE'],
    ]
    for (const [path, status, code] of cases) {
      const answer = await at(path)
      expect([path, answer.status, answer.json().error.code]).toEqual([path, status, code])
    }
  })

  test('version 0 has empty tables, and no file', async () => {
    const empty = await server.salesModel()
    expect((await at(`${empty}/0/customers.csv`)).body.toString()).toBe('customerId,name\n')
    expect((await at(`${empty}/0/customers.ndjson`)).body.length).toBe(0)
    const arrow = (await at(`${empty}/0/customers.arrow`)).body
    expect(pl.readIPCStream(arrow).schema).toEqual({ customerId: pl.String, name: pl.String })
    expect((await at(`${empty}/0/customers.parquet`)).body.subarray(0, 4).toString()).toBe('PAR1')
    for (const file of ['model.duckdb', 'blocks']) {
      const answer = await at(`${empty}/0/${file}`)
      expect([file, answer.status, answer.json().error.code]).toEqual([file, 404, 'NOT_FOUND'])
    }
  })
})

describe('tables', () => {
  test('as CSV tell null from the empty string', async () => {
    const answer = await at(`${model}/2/sites.csv`)
    expect(answer.headers).toMatchObject({ 'content-type': 'text/csv; charset=utf-8', 'cache-control': IMMUTABLE })
    expect(answer.body.toString()).toBe(
      'siteId,name,region,country\nS1,"One, ""the first""","",\nS2,"Zwei\nZeilen",Süd,CH\n',
    )
  })

  test('as NDJSON are all the rows, in the order in which they are stored', async () => {
    const lines = (await at(`${model}/2/sales.ndjson`)).body.toString().trimEnd().split('\n')
    const rows = lines.map(line => JSON.parse(line))
    expect(rows).toHaveLength(2500)
    expect(rows[1]).toEqual({ ...sale({ orderId: 'O1' }), quantity: '2.0000', amount: '1.5000' })
    expect(rows.map(row => row.orderId)).toEqual(Array.from({ length: 2_500 }, (_, order) => `O${order}`))
  })

  test('as Arrow are a stream, with the types of the columns', async () => {
    const answer = await at(`${model}/2/sales.arrow`)
    expect(answer.headers).toMatchObject({
      'content-type': 'application/vnd.apache.arrow.stream',
      'content-disposition': `attachment; filename="${model}-2-sales.arrow"`,
      'cache-control': IMMUTABLE,
    })
    expect(answer.body.subarray(-8).toString('hex')).toBe('ffffffff00000000')
    const frame = pl.readIPCStream(answer.body)
    expect(frame.shape).toEqual({ height: 2_500, width: 9 })
    expect(frame.schema).toMatchObject({ date: pl.Date, amount: pl.Decimal(18, 4), line: pl.Int32 })
    const sum = frame.select(pl.col('amount').sum().cast(pl.Utf8)).row(0)
    expect(sum).toEqual(['3125000.0000'])
  })

  test('exported and imported again are the same rows', async () => {
    const other = await server.salesModel()
    for (const extension of ['csv', 'ndjson', 'arrow'])
      for (const [table, name] of [
        ['sites', 'importSites'],
        ['sales', 'importSales'],
      ] as const) {
        const { body } = await at(`${model}/3/${table}.${extension}`)
        const upload = (await send(`${server.url}/uploads`, { method: 'POST' }, body)).json().id
        const args = { source: { upload: { id: upload } }, mode: 'REPLACE' }
        const intent = await server.run(other, name, args)
        expect(intent.error).toBeNull()
        const again = await at(`${other}/${intent.version}/${table}.${extension}`)
        expect(again.body.equals(body)).toBe(true)
      }
  })

  test('as Parquet are whole files', async () => {
    const answer = await at(`${model}/2/sales.parquet`)
    expect(answer.headers).toMatchObject({ 'content-length': String(answer.body.length), 'cache-control': IMMUTABLE })
    const dir = await mkdtemp(join(tmpdir(), 'teatree-'))
    const path = join(dir, 'sales.parquet')
    await writeFile(path, answer.body)
    const sql = `SELECT count(*)::INTEGER, sum(amount)::VARCHAR FROM '${path}'`
    expect(await rowsIn(null, sql)).toEqual([[2500, '3125000.0000']])
    await rm(dir, { recursive: true })
    // It goes when it has been sent.
    await expect.poll(() => readdir(join(server.dataDir, 'exports'))).toEqual([])
  })

  test('are narrowed by columns and where', async () => {
    const where = encodeURIComponent(JSON.stringify({ amount: { gte: '2498' }, site: { region: { eq: '' } } }))
    const narrowed = async (extension: string) =>
      (await at(`${model}/2/sales.${extension}?columns=amount,orderId&where=${where}`)).body
    expect((await narrowed('csv')).toString()).toBe('amount,orderId\n2498.5000,O2498\n2499.5000,O2499\n')
    expect((await narrowed('ndjson')).toString()).toBe(
      '{"amount":"2498.5000","orderId":"O2498"}\n{"amount":"2499.5000","orderId":"O2499"}\n',
    )
    const frames = [pl.readIPCStream(await narrowed('arrow')), pl.readParquet(await narrowed('parquet'))]
    for (const frame of frames) {
      expect(frame.schema).toEqual({ amount: pl.Decimal(18, 4), orderId: pl.String })
      expect(frame.getColumn('orderId').toArray()).toEqual(['O2498', 'O2499'])
    }
    const none = encodeURIComponent('{"orderId":{"eq":"nobody"}}')
    expect((await at(`${model}/2/sales.csv?columns=orderId&where=${none}`)).body.toString()).toBe('orderId\n')
    expect((await at(`${model}/2/sales.ndjson?where=${none}`)).body.length).toBe(0)
    expect(pl.readIPCStream((await at(`${model}/2/sales.arrow?where=${none}`)).body).shape.height).toBe(0)
    for (const extension of ['csv', 'parquet', 'arrow'])
      for (const query of ['columns=', 'columns=nothing', 'where={', 'where=[]', 'where={"amount":{"like":"x"}}']) {
        const answer = await at(`${model}/2/sales.${extension}?${query}`)
        expect([query, answer.status, answer.json().error.code]).toEqual([query, 400, 'BAD_VALUE'])
      }
    for (const file of ['sales.xlsx', 'sales.toString']) {
      const answer = await at(`${model}/2/${file}`)
      expect([file, answer.status, answer.json().error.code]).toEqual([file, 415, 'WRONG_FORMAT'])
    }
  })

  test('a HEAD has no rows, and nothing is held afterwards', async () => {
    for (const file of ['sales.csv', 'sales.ndjson', 'sales.arrow', 'sales.parquet']) {
      const answer = await at(`${model}/2/${file}`, { method: 'HEAD' })
      expect([file, answer.status, answer.body.length]).toEqual([file, 200, 0])
    }
    await until(() => server.held === 0)
  })

  test('a HEAD of a Parquet file writes none', async () => {
    await at(`${model}/2/sales.parquet`)
    await until(() => server.held === 0)
    const changed = async () => (await stat(join(server.dataDir, 'exports'), { bigint: true })).mtimeNs
    const before = await changed()
    const { headers } = await at(`${model}/2/sales.parquet`, { method: 'HEAD' })
    expect(headers).toMatchObject({ 'content-type': 'application/vnd.apache.parquet', 'cache-control': IMMUTABLE })
    expect(headers['content-length']).toBeUndefined()
    expect(await changed()).toBe(before)
  })

  test('of which one is written to be sent stays when another server starts, and what a killed one has left goes', async () => {
    const folder = join(server.dataDir, 'exports')
    await mkdir(folder, { recursive: true })
    for (const name of ['sent.parquet', 'left.parquet']) await writeFile(join(folder, name), 'PAR1')
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60
    await utimes(join(folder, 'left.parquet'), twoDaysAgo, twoDaysAgo)
    await using _ = await openServer({ dataDir: server.dataDir })
    expect(await readdir(folder)).toEqual(['sent.parquet'])
    await rm(join(folder, 'sent.parquet'))
  })
})

async function rowsIn(database: Buffer | null, sql: string): Promise<unknown[][]> {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-'))
  const path = join(dir, 'model.duckdb')
  if (database) await writeFile(path, database)
  const instance = await DuckDBInstance.create(database ? path : ':memory:')
  try {
    const connection = await instance.connect()
    const rows = (await connection.runAndReadAll(sql)).getRows()
    connection.closeSync()
    return rows
  } finally {
    instance.closeSync()
    if (database) expect((await readFile(path)).length).toBeGreaterThan(0)
    await rm(dir, { recursive: true })
  }
}
