import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type Answer, openServer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

/** Every link to a file that the newest version has, and to its whole file once that was made. */
async function links(server: TestServer, model: string): Promise<string[]> {
  await send(`${server.url}/content/${model}/1/model.duckdb`, { method: 'HEAD' })
  const { data } = await server.answer(
    `query ($model: ID!) { model(id: $model) { snapshot { content { url }
       tables { parquet: url(format: PARQUET) arrow: url(format: ARROW) csv: url(format: CSV) ndjson: url(format: NDJSON) } } } }`,
    { model },
  )
  const { tables, content } = data.model.snapshot
  return [...tables.flatMap((table: Answer) => Object.values(table)), ...content.map(({ url }: Answer) => url)].filter(
    url => url !== null,
  )
}

test('links work as they are, without a header', async () => {
  await using server = await openServer()
  const model = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
  const all = await links(server, model)
  const paths = all.map(url => url.replace(/\?.*/, ''))
  expect(paths).toContain(`${server.url}/content/${model}/1/sales.csv`)
  expect(paths).toContain(`${server.url}/content/${model}/1/model.duckdb`)
  for (const url of all) expect([url, (await fetch(url)).status]).toEqual([url, 200])
})

test('behind a proxy, links are to where clients reach it, and it is called by that name', async () => {
  await using server = await openServer({ publicUrl: 'https://data.example.org/teatree' })
  const model = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
  const all = await links(server, model)
  expect(all.filter(url => !url.startsWith(`https://data.example.org/teatree/content/${model}/1/`))).toEqual([])
  const asked = async (headers: Record<string, string>) =>
    (await send(`${server.url}/content/${model}/1/sales.csv`, { headers })).status
  expect(await asked({ host: 'data.example.org', origin: 'https://data.example.org' })).toBe(200)
  expect(await asked({ host: 'data.example.org', origin: 'https://evil.example' })).toBe(403)
  expect(await asked({ host: 'evil.example' })).toBe(403)
})

test('a link is good for 15 minutes, for what it was made for alone, and says what is wrong with it after that', async () => {
  let now = Date.parse('2030-01-01T00:00:10Z')
  await using server = await openServer({ now: () => now })
  const model = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
  const table = async (): Promise<string> => {
    const { data } = await server.answer(
      'query ($id: ID!) { model(id: $id) { snapshot { tables { name url(format: CSV) } } } }',
      { id: model },
    )
    return data.model.snapshot.tables.find(({ name }: Answer) => name === 'sales').url
  }
  const told = async (url: string | URL) => {
    const response = await fetch(url)
    const text = await response.text()
    return response.ok ? response.status : [response.status, JSON.parse(text).error.code]
  }
  const url = await table()
  expect(await told(url)).toBe(200)
  expect(await told(`${url}&columns=orderId`), 'it may be narrowed').toBe(200)
  expect((await fetch(url)).headers.get('cache-control'), 'no proxy answers for it').toMatch(/^private, /)

  const changed = (change: (url: URL) => void) => {
    const other = new URL(url)
    change(other)
    return told(other)
  }
  const bad = [403, 'BAD_LINK']
  expect(await changed(({ searchParams }) => searchParams.set('expires', '9999999999'))).toEqual(bad)
  expect(await changed(({ searchParams }) => searchParams.set('expires', '1e10'))).toEqual(bad)
  expect(await changed(({ searchParams }) => searchParams.set('signature', 'AAAAAAAAAAAAAAAA'))).toEqual(bad)
  expect(await changed(({ searchParams }) => searchParams.set('signature', ''))).toEqual(bad)
  expect(await changed(({ searchParams }) => searchParams.delete('signature'))).toEqual(bad)
  expect(await changed(({ searchParams }) => searchParams.delete('expires'))).toEqual(bad)
  for (const path of [`${model}/1/sales.parquet`, `${model}/1/sites.csv`, `${model}/0/sales.csv`, 'other/1/sales.csv'])
    expect([path, await changed(other => Object.assign(other, { pathname: `/content/${path}` }))]).toEqual([path, bad])

  now += 15 * 60_000
  expect(await told(url)).toBe(200)
  now += 60_000
  expect(await told(url)).toEqual([410, 'LINK_EXPIRED'])
  expect(await told(await table())).toBe(200)
  expect(await told(`${server.url}/content/${model}/1/sales.csv`), 'the path by itself is no link').toBe(200)
})

test('latest leads on to the number below a path of the proxy, too', async () => {
  await using server = await openServer({ publicUrl: 'http://127.0.0.1/teatree' })
  const model = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
  // As a proxy that has us below a path: what it does not know as that is not there.
  const proxy = createServer((asked, answer) => {
    const [, path] = /^\/teatree(\/.*)$/.exec(asked.url ?? '') ?? []
    if (path === undefined) {
      answer.writeHead(404).end()
      return
    }
    request(`${server.url}${path}`, { agent: false }, from => {
      answer.writeHead(from.statusCode ?? 500, from.headers)
      from.pipe(answer)
    }).end()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void proxy.close())
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}/teatree/content/${model}/latest/sales.csv?columns=orderId`)
  expect([answer.status, await answer.text()]).toEqual([200, 'orderId\nA\n'])
})
