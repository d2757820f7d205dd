import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { graphql } from '../src/commands/client.ts'
import { median, table } from './figures.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'
import { SALES_COLUMNS, salesCsv } from './sales.ts'

const ROUNDS = 5
const PAGE_ROWS = 1_000
/** So many pages are walked of the GraphQL JSON: all of them would take minutes. */
const PAGES = 100

/** One way out: takes rows, and answers with how many and of how many bytes. Nothing is decoded. */
interface Way {
  name: string
  take(): Promise<{ rows: number; bytes: number }>
}

/**
 * A model of a million sales out of the platform, over HTTP on this machine: as Arrow, Parquet, CSV and NDJSON from
 * `/content`, and as GraphQL JSON, page by page along the cursor. Rows each second, and how many times GraphQL JSON.
 */
export async function run(args: string[]): Promise<void> {
  await using platform = await startBenchPlatform()
  const model = await createModel(platform.server, { kind: 'sales' })
  await importSales(platform.server, model, salesCsv(Number(args[0] ?? 1_000_000)))
  const query = 'query ($model: ID!) { salesModel(id: $model) { snapshot { version sales(first: 1) { totalCount } } } }'
  const { salesModel } = await graphql<Counted>(platform.server, query, { model })
  const rows = Number(salesModel.snapshot.sales.totalCount)
  const path = `${platform.url}/content/${model}/${salesModel.snapshot.version}/sales`
  const ways = [
    ...['arrow', 'parquet', 'csv', 'ndjson'].map(extension => download(`${path}.${extension}`, extension, rows)),
    pages(platform, model),
  ]
  process.stdout.write(`${platform.versions} · ${rows} rows\n`)
  const rates = ways.map(() => [] as number[])
  const sizes = ways.map(() => 0)
  for (let round = 0; round <= ROUNDS; round++)
    for (const [index, way] of ways.entries()) {
      const began = performance.now()
      const taken = await way.take()
      const seconds = (performance.now() - began) / 1000
      sizes[index] = taken.bytes / taken.rows
      // The first round warms up.
      if (round > 0) rates[index]?.push(taken.rows / seconds)
    }
  const medians = rates.map(median)
  const json = medians.at(-1) ?? Number.NaN
  process.stdout.write(
    `\nmedians of ${ROUNDS} rounds; JSON is ${PAGES} pages of ${PAGE_ROWS} that were not asked for before, the others are whole tables\n\n${table(
      ['way out', 'rows/s', 'bytes/row', 'slowest', 'fastest', 'times JSON'],
      ways.map(({ name }, index) => [
        name,
        whole(medians[index]),
        whole(sizes[index]),
        whole(Math.min(...(rates[index] ?? []))),
        whole(Math.max(...(rates[index] ?? []))),
        `${((medians[index] ?? 0) / json).toFixed(1)}x`,
      ]),
    )}`,
  )
}

interface Counted {
  salesModel: { snapshot: { version: number; sales: { totalCount: number | string } } }
}

const whole = (value = Number.NaN): string => Math.round(value).toLocaleString('en')

const agent = new Agent({ keepAlive: true })

function download(url: string, name: string, rows: number): Way {
  return {
    name,
    async take() {
      const response = await answered(request(url, { agent }).end())
      let bytes = 0
      for await (const chunk of response) bytes += chunk.length
      return { rows, bytes }
    },
  }
}

function pages({ server }: BenchPlatform, model: string): Way {
  const query = `query ($model: ID!, $after: String) { salesModel(id: $model) { snapshot {
    sales(first: ${PAGE_ROWS}, after: $after) { pageInfo { endCursor } nodes { ${SALES_COLUMNS.join(' ')} } } } } }`
  // Each round walks on where the last one ended: a page that was asked for before would come from what is kept.
  let after: string | undefined
  return {
    name: 'GraphQL JSON',
    async take() {
      let bytes = 0
      for (let page = 0; page < PAGES; page++) {
        const sent = request(server.url, { agent, method: 'POST', headers: { 'content-type': 'application/json' } })
        const body = await text(await answered(sent.end(JSON.stringify({ query, variables: { model, after } }))))
        bytes += body.length
        after = /"endCursor":"([^"]+)"/.exec(body)?.[1]
        if (after === undefined) throw new Error(body.slice(0, 500))
      }
      return { rows: PAGES * PAGE_ROWS, bytes }
    },
  }
}

async function answered(sent: ReturnType<typeof request>): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${await text(response)}`)
  return response
}
