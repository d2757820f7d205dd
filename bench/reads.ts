import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { graphql, submit } from '../src/commands/client.ts'
import { makeCompany } from '../src/demo/company.ts'
import { seeded } from '../src/demo/random.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import { askAtOnce } from './peers/clients.ts'
import type { Order } from './peers/raw-duckdb.ts'
import { type Chosen, PAGE_ROWS, pick, QUERIES, type QueryName, threshold } from './peers/read-queries.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'
import { madeSales, SALES_COLUMNS, salesCsv } from './sales.ts'

const ROUNDS = 5
const CLIENTS = 16
const SECONDS = 2
const WRITES_A_SECOND = 5
/** How many different queries are asked again and again, so that answers are warm. */
const WARM = 20
/** So many rows are asked for at most: at a million rows more than a run asks for, so that no cold query comes again. */
const MAX_CHOSEN = 250_000

interface Taken {
  times: number[]
  seconds: number
}
interface Contestant {
  name: string
  /** Whether what it is asked must be what nobody asked it before. */
  isCold?: boolean
  ask(query: QueryName, from: number): Promise<Taken>
}

/**
 * Reads of a model of sales by 16 clients at once: a page of 20 filtered rows, a page deep in the middle, sums by month, a
 * row by its key. GraphQL over HTTP, each query another than the last (cold) and 20 of them again and again (warm), with
 * and without a writer of five versions a second; DuckDB by itself, running the same SQL on the same file; PostGraphile
 * on PostgreSQL with the same rows, and indexes for these queries. For each number of rows that is given.
 */
export async function run(args: string[]): Promise<void> {
  for (const rows of args.length > 0 ? args.map(Number) : [1_000_000]) await measure(rows)
}

async function measure(rows: number): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const platform = stack.use(await startBenchPlatform())
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-reads-')), path => rm(path, { recursive: true }))
  const model = await createModel(platform.server, { kind: 'sales' })
  await importSales(platform.server, model, salesCsv(rows))
  const chosen = choose(rows)
  process.stdout.write(
    `${platform.versions} · DuckDB ${versionOf('@duckdb/node-api')} · PostGraphile ${versionOf('postgraphile')} · ${rows} rows · ${CLIENTS} clients\n`,
  )
  const raw = stack.adopt(await rawDuckdb(platform, model, dir, chosen), stop)
  const postgraphile = stack.adopt(await startPostgraphile(platform, rows), stop)
  const ours = await teatree(platform, model, chosen)
  const contestants: Contestant[] = [
    { name: 'DuckDB alone', ask: (query, from) => askRaw(raw, { query, clients: CLIENTS, seconds: SECONDS, from }) },
    { ...ours('cold', n => n), isCold: true },
    ours('warm', n => n % WARM),
    {
      name: 'cold, writer beside',
      isCold: true,
      ask: (query, from) => beside(platform, model, () => ours('', n => n).ask(query, from)),
    },
    {
      name: 'warm, writer beside',
      ask: (query, from) => beside(platform, model, () => ours('', n => n % WARM).ask(query, from)),
    },
    { name: 'PostGraphile', ask: askPostgraphile(postgraphile.url, chosen) },
  ]
  const figures: string[][] = []
  for (const query of QUERIES) {
    const taken = contestants.map(() => [] as Taken[])
    let asked = 0
    for (let round = 0; round <= ROUNDS; round++)
      for (const [index, contestant] of contestants.entries()) {
        const result = await contestant.ask(query, contestant.isCold ? asked : round * MAX_CHOSEN)
        if (contestant.isCold) asked += result.times.length
        // The first round warms up.
        if (round > 0) taken[index]?.push(result)
      }
    const rates = taken.map(rounds => median(rounds.map(({ times, seconds }) => times.length / seconds)))
    for (const [index, { name }] of contestants.entries()) {
      const times = taken[index]?.flatMap(round => round.times) ?? []
      figures.push([
        `${query}: ${name}`,
        (rates[index] ?? 0).toFixed(0),
        ms(quantile(times, 0.5)),
        ms(quantile(times, 0.99)),
        `${((rates[index] ?? 0) / (rates[0] ?? 1)).toFixed(2)}x`,
        `${((rates[index] ?? 0) / (rates.at(-1) ?? 1)).toFixed(2)}x`,
      ])
    }
    if (asked > MAX_CHOSEN) process.stdout.write(`${query}: ${asked} cold queries, of which some came again\n`)
  }
  process.stdout.write(
    `\nmedians of ${ROUNDS} rounds of ${SECONDS} s; latencies over all\n\n${table(
      ['query', 'reads/s', 'p50 ms', 'p99 ms', '/ DuckDB', '/ PostGraphile'],
      figures,
    )}`,
  )
}

/** Rows from all over, as they were made: the same for every contestant. */
function choose(rows: number): Chosen {
  const of = makeCompany(seeded(1))
  const every = Math.max(1, Math.ceil(rows / MAX_CHOSEN))
  const chosen: Chosen['rows'][number][] = []
  let index = 0
  for (const { date, orderId, line } of madeSales(rows)) if (index++ % every === 0) chosen.push({ date, orderId, line })
  return { sites: of.sites.map(({ siteId }) => siteId), rows: chosen }
}

const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })

async function post(url: string, query: string, variables: Record<string, unknown>): Promise<string> {
  const sent = request(url, { agent, method: 'POST', headers: { 'content-type': 'application/json' } })
  const [response] = await once(sent.end(JSON.stringify({ query, variables })), 'response')
  const body = await text(response)
  if (response.statusCode !== 200 || body.includes('"errors"')) throw new Error(body.slice(0, 500))
  return body
}

const FIELDS = SALES_COLUMNS.join(' ')
const ORDER = { 'filtered page': '[{ column: date, direction: DESC }]', 'page in the middle': '[{ column: date }]' }
const TEATREE: Record<QueryName, string> = {
  'filtered page': `query ($model: ID!, $site: String!, $above: Decimal!) { salesModel(id: $model) { snapshot {
    sales(where: { siteId: { eq: $site }, amount: { gt: $above } }, orderBy: ${ORDER['filtered page']}, first: ${PAGE_ROWS}) {
      nodes { ${FIELDS} } pageInfo { hasNextPage endCursor } } } } }`,
  'page in the middle': `query ($model: ID!, $after: String!) { salesModel(id: $model) { snapshot {
    sales(orderBy: ${ORDER['page in the middle']}, first: ${PAGE_ROWS}, after: $after) {
      nodes { ${FIELDS} } pageInfo { hasNextPage endCursor } } } } }`,
  months: `query ($model: ID!, $above: Decimal!) { salesModel(id: $model) { snapshot {
    salesAggregate(where: { amount: { gt: $above } }, groupBy: [{ column: date, bucket: MONTH }]) {
      nodes { group { date } count sum { amount } } } } } }`,
  'row by key': `query ($model: ID!, $orderId: String!, $line: Int!) { salesModel(id: $model) { snapshot {
    sale(orderId: $orderId, line: $line) { ${FIELDS} } } } }`,
}

/** The platform, with its cursors looked up before. */
async function teatree({ server, url }: BenchPlatform, model: string, chosen: Chosen) {
  const cursors: string[] = []
  const days = new Set(chosen.rows.map(row => row.date))
  const ofDay = Math.min(1000, Math.ceil(chosen.rows.length / days.size))
  const query = `query ($model: ID!, $from: Date!) { salesModel(id: $model) { snapshot {
    sales(where: { date: { eq: $from } }, orderBy: ${ORDER['page in the middle']}, first: ${ofDay}) { edges { cursor } } } } }`
  for (const date of days) {
    const { salesModel } = await graphql<{
      salesModel: { snapshot: { sales: { edges: { cursor: string }[] } } }
    }>(server, query, { model, from: date })
    cursors.push(...salesModel.snapshot.sales.edges.map(({ cursor }) => cursor))
  }
  const variables: Record<QueryName, (n: number) => Record<string, unknown>> = {
    'filtered page': n => ({ site: pick(chosen.sites, n), above: threshold(n) }),
    'page in the middle': n => ({ after: pick(cursors, n) }),
    months: n => ({ above: threshold(n) }),
    'row by key': n => {
      const { orderId, line } = pick(chosen.rows, n)
      return { orderId, line }
    },
  }
  return (name: string, which: (n: number) => number): Contestant => ({
    name,
    ask: (query, from) =>
      askAtOnce({ clients: CLIENTS, seconds: SECONDS, from }, async n => {
        await post(`${url}/graphql`, TEATREE[query], { model, ...variables[query](which(n)) })
      }),
  })
}

/** Does it while a writer publishes. */
async function beside<T>({ server }: BenchPlatform, model: string, work: () => Promise<T>): Promise<T> {
  let written = 0
  const timer = setInterval(() => {
    written += 1
    const row = {
      orderId: `W${Date.now()}-${written}`,
      line: 1,
      date: '2026-01-01',
      siteId: 'S01',
      productId: 'P01',
      customerId: 'C01',
      quantity: '1',
      amount: '1',
    }
    void submit(server, {
      name: 'appendSales',
      types: '$model: ID!, $rows: [SaleInput!]!',
      variables: { model, rows: [row] },
    })
  }, 1000 / WRITES_A_SECOND)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

type Answering = ChildProcess & { url: string }

async function stop(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill()
  await exit
}

const peer = (name: string): string => fileURLToPath(new URL(`./peers/${name}.ts`, import.meta.url))

async function rawDuckdb({ url }: BenchPlatform, model: string, dir: string, chosen: Chosen): Promise<ChildProcess> {
  const path = join(dir, 'model.duckdb')
  const response = await fetch(`${url}/content/${model}/latest/model.duckdb`)
  if (!response.body) throw new Error('no content')
  await pipeline(Readable.fromWeb(response.body as never), createWriteStream(path))
  const child = fork(peer('raw-duckdb'), { env: { ...process.env, UV_THREADPOOL_SIZE: '32' } })
  const ready = once(child, 'message')
  child.send({ path, chosen } satisfies Order)
  await ready
  return child
}

async function askRaw(child: ChildProcess, order: Order): Promise<Taken> {
  const answered = once(child, 'message')
  child.send(order)
  return (await answered)[0] as Taken
}

async function startPostgraphile({ peerUrl }: BenchPlatform, rows: number): Promise<Answering> {
  const client = new pg.Client({ connectionString: peerUrl })
  await client.connect()
  await client.query(`CREATE TABLE sales (order_id text NOT NULL, line integer NOT NULL, date date NOT NULL, site_id text NOT NULL,
    product_id text NOT NULL, customer_id text NOT NULL, salesperson_id text, quantity numeric(18,4) NOT NULL, amount numeric(18,4) NOT NULL,
    month date GENERATED ALWAYS AS (make_date(extract(year FROM date)::integer, extract(month FROM date)::integer, 1)) STORED)`)
  let batch: string[] = []
  const flush = async () => {
    const values = batch.map(line => line.split(','))
    const column = (index: number) => values.map(row => row[index] || null)
    await client.query(
      `INSERT INTO sales SELECT * FROM unnest($1::text[], $2::integer[], $3::date[], $4::text[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::numeric[])`,
      SALES_COLUMNS.map((_, index) => column(index)),
    )
    batch = []
  }
  let isHeader = true
  for await (const line of createInterface({ input: Readable.from(salesCsv(rows)) })) {
    if (!isHeader) batch.push(line)
    isHeader = false
    if (batch.length === 50_000) await flush()
  }
  await flush()
  await client.query('ALTER TABLE sales ADD PRIMARY KEY (order_id, line)')
  await client.query('CREATE INDEX ON sales (site_id, date DESC, order_id, line)')
  await client.query('CREATE INDEX ON sales (date, order_id, line)')
  await client.query('CREATE INDEX ON sales (month, amount)')
  await client.query('VACUUM ANALYZE sales')
  await client.end()
  const child = fork(peer('postgraphile'), [peerUrl], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production', GRAPHILE_ENV: 'production' },
  })
  if (!child.stdout) throw new Error('no output')
  for await (const line of createInterface({ input: child.stdout }))
    if (line.startsWith('http')) return Object.assign(child, { url: line })
  throw new Error('PostGraphile did not start')
}

function askPostgraphile(url: string, chosen: Chosen): Contestant['ask'] {
  const fields = 'orderId line date siteId productId customerId salespersonId quantity amount'
  const queries: Record<QueryName, [string, (n: number) => Record<string, unknown>]> = {
    'filtered page': [
      `query ($site: String!, $above: BigFloat!) { allSales(filter: { siteId: { equalTo: $site }, amount: { greaterThan: $above } },
        orderBy: [DATE_DESC, ORDER_ID_ASC, LINE_ASC], first: ${PAGE_ROWS}) { nodes { ${fields} } pageInfo { hasNextPage endCursor } } }`,
      n => ({ site: pick(chosen.sites, n), above: threshold(n) }),
    ],
    // A cursor of its own cannot be made up; the filter that it stands for can.
    'page in the middle': [
      `query ($date: Date!, $orderId: String!, $line: Int!) { allSales(filter: { date: { greaterThanOrEqualTo: $date }, or: [
        { date: { greaterThan: $date } }, { orderId: { greaterThan: $orderId } }, { orderId: { equalTo: $orderId }, line: { greaterThan: $line } }] },
        orderBy: [DATE_ASC, ORDER_ID_ASC, LINE_ASC], first: ${PAGE_ROWS}) { nodes { ${fields} } pageInfo { hasNextPage endCursor } } }`,
      n => ({ ...pick(chosen.rows, n) }),
    ],
    months: [
      `query ($above: BigFloat!) { allSales(filter: { amount: { greaterThan: $above } }) {
        groupedAggregates(groupBy: [MONTH]) { keys distinctCount { month } sum { amount } } } }`,
      n => ({ above: threshold(n) }),
    ],
    'row by key': [
      `query ($orderId: String!, $line: Int!) { saleByOrderIdAndLine(orderId: $orderId, line: $line) { ${fields} } }`,
      n => {
        const { orderId, line } = pick(chosen.rows, n)
        return { orderId, line }
      },
    ],
  }
  return (query, from) => {
    const [document, variables] = queries[query]
    return askAtOnce({ clients: CLIENTS, seconds: SECONDS, from }, async n => {
      await post(url, document, variables(n))
    })
  }
}
