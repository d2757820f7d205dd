import { expect, test } from 'vitest'
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
  expect(all).toContain(`${server.url}/content/${model}/1/sales.csv`)
  expect(all).toContain(`${server.url}/content/${model}/1/model.duckdb`)
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
