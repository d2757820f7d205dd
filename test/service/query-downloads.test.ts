import { createHash } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openServer, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
let model: string
let run: { id: string; url: Record<string, string>; content: { url: string; sha256: string; bytes: string }[] }
beforeAll(async () => {
  server = await openServer({ runs: true })
  model = await server.salesModel([
    'appendSales',
    {
      rows: Array.from({ length: 3000 }, (_, n) =>
        sale({ orderId: `A${String(n).padStart(4, '0')}`, amount: `${n}.25` }),
      ),
    },
  ])
  const { data } = await server.answer('mutation ($input: StartQueryInput!) { startQuery(input: $input) { id } }', {
    input: {
      model,
      query: {
        sql: {
          statement: `SELECT orderId, amount, date, count(*) OVER () AS "all, of them", [line, NULL] AS parts FROM sales ORDER BY orderId`,
        },
      },
    },
  })
  const { data: ended } = await server.answer(
    `query ($id: ID!) { queryRun(id: $id, waitMs: 30000) { id state error { message }
       csv: url(format: CSV) ndjson: url(format: NDJSON) arrow: url(format: ARROW) parquet: url(format: PARQUET)
       content { url sha256 bytes } } }`,
    { id: data.startQuery.id },
  )
  const { csv, ndjson, arrow, parquet, ...found } = ended.queryRun
  expect(found).toMatchObject({ state: 'DONE', error: null })
  run = { ...found, url: { csv, ndjson, arrow, parquet } }
})
afterAll(() => server[Symbol.asyncDispose]())

const get = (format: string, init?: RequestInit) => fetch(run.url[format] ?? '', init)

test('a result is downloaded as text', async () => {
  const csv = await get('csv')
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  const lines = (await csv.text()).split('\n')
  expect(lines.slice(0, 2)).toEqual([
    'orderId,amount,date,"all, of them",parts',
    'A0000,0.2500,2024-05-17,3000,"[1,null]"',
  ])
  expect(lines).toHaveLength(3002)
  const ndjson = (await (await get('ndjson')).text())
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(ndjson).toHaveLength(3000)
  expect(ndjson[2999]).toEqual({
    orderId: 'A2999',
    amount: '2999.2500',
    date: '2024-05-17',
    'all, of them': '3000',
    parts: [1, null],
  })
})

test('a result is downloaded as Arrow and as Parquet', async () => {
  const arrow = tableFromIPC(await (await get('arrow')).arrayBuffer().then(bytes => new Uint8Array(bytes)))
  expect(arrow.numRows).toBe(3000)
  expect(arrow.schema.fields.map(({ name }) => name)).toEqual(['orderId', 'amount', 'date', 'all, of them', 'parts'])
  const bytes = Buffer.from(await (await get('parquet')).arrayBuffer())
  expect(run.content).toEqual([
    { url: run.url.parquet, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: String(bytes.length) },
  ])
  const path = join(server.dataDir, 'downloaded.parquet')
  await writeFile(path, bytes)
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const read = await connection.runAndReadAll(`SELECT count(*), sum(amount), min(parts) FROM read_parquet('${path}')`)
  expect(read.getRowsJson()).toEqual([['3000', '4499250.0000', '[1,null]']])
  connection.closeSync()
})

test('parts of the Parquet are had by range, and what is had already is not sent again', async () => {
  const { sha256, bytes } = run.content[0] ?? { sha256: '', bytes: '0' }
  const part = await get('parquet', { headers: { range: 'bytes=0-3' } })
  expect([part.status, await part.text()]).toEqual([206, 'PAR1'])
  expect(part.headers.get('content-range')).toBe(`bytes 0-3/${bytes}`)
  expect((await get('parquet', { headers: { 'if-none-match': `"${sha256}"` } })).status).toBe(304)
  expect((await get('csv', { method: 'HEAD' })).status).toBe(200)
})

test('what was lost here is fetched from the store', async () => {
  await rm(join(server.dataDir, 'results'), { recursive: true, force: true })
  expect((await (await get('csv')).text()).split('\n')).toHaveLength(3002)
})

test('what is not there is told by its code', async () => {
  const refused = async (path: string) => {
    const response = await fetch(`${server.url}/content/${path}`)
    return [response.status, (await response.json()).error.code]
  }
  const other = await server.salesModel()
  expect(await refused(`${model}/results/${run.id}.xlsx`)).toEqual([415, 'WRONG_FORMAT'])
  expect(await refused(`${model}/results/nonsense.csv`)).toEqual([404, 'NOT_FOUND'])
  expect(await refused(`${model}/results/00000000-0000-0000-0000-000000000000.csv`)).toEqual([404, 'NOT_FOUND'])
  expect(await refused(`${other}/results/${run.id}.csv`)).toEqual([404, 'NOT_FOUND'])
  await server.db.query('UPDATE query_run SET expires_at = clock_timestamp() WHERE id = $1', [run.id])
  for (const format of ['csv', 'parquet'])
    expect(await refused(`${model}/results/${run.id}.${format}`)).toEqual([410, 'RESULT_GONE'])
})
