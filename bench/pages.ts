import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { graphql, type Server, submit } from '../src/commands/client.ts'
import { makeCompany } from '../src/demo/company.ts'
import { seeded } from '../src/demo/random.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import { askAtOnce } from './peers/clients.ts'
import type { LoopDelay } from './peers/loop-delay.ts'
import { threshold } from './peers/read-queries.ts'
import { createModel, importSales, startBenchPlatform } from './platform.ts'
import { SALES_COLUMNS, salesCsv } from './sales.ts'

const ROUNDS = 3
const CLIENTS = 4
const SECONDS = 3
const ROWS = 1000

const COLUMNS = `__typename ${SALES_COLUMNS.join(' ')}`
const FIVE = 'orderId line date siteId amount'
/** What is selected of each page, of 10 values a row; the same of the platform and of its peer. */
const SELECTED = {
  rows: `nodes { ${COLUMNS} }`,
  references: `nodes { ${COLUMNS} site { name region } product { name category } }`,
  groups: `nodes { group { date productId } count sum { quantity amount } avg { quantity amount } min { amount } max { quantity amount } }`,
  diff: `nodes { before { ${FIVE} } after { ${FIVE} } }`,
  sql: 'rows',
}
type Name = keyof typeof SELECTED
const NAMES = Object.keys(SELECTED) as Name[]

const STATEMENT = `SELECT orderId, line, date, siteId, productId, customerId, quantity, amount, salespersonId,
  {'line': line, 'of': [quantity, amount]} FROM sales WHERE amount > $1::DECIMAL(18,4) LIMIT ${ROWS}`
const FIELD: Record<Name, string> = {
  rows: `sales(where: { amount: { gt: $above } }, first: ${ROWS})`,
  references: `sales(where: { amount: { gt: $above } }, first: ${ROWS})`,
  groups: `salesAggregate(where: { amount: { gt: $above } }, groupBy: [{ column: date }, { column: productId }], first: ${ROWS})`,
  diff: `salesDiff(from: { version: 3 }, where: { amount: { gt: $above } }, first: ${ROWS})`,
  sql: `sql(statement: ${JSON.stringify(STATEMENT.replace(/\s+/g, ' '))}, params: [$json], first: ${ROWS})`,
}

/**
 * How long a server's event loop stands still while pages of 1,000 rows of 10 values are asked for by several clients:
 * rows, with what they refer to, groups, what changed, and results of SQL with lists and objects; each page another.
 * Beside it graphql-js and Yoga as they come, with plain objects of such a page.
 */
export async function run(args: string[]): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-pages-')), path => rm(path, { recursive: true }))
  const platform = stack.use(await startBenchPlatform(watched(join(dir, 'platform'))))
  const rows = Number(args[0] ?? 200_000)
  process.stdout.write(`${platform.versions} · Yoga ${versionOf('graphql-yoga')} · ${rows} rows · ${CLIENTS} clients\n`)
  const model = await fill(platform.server, rows)
  const pages = Object.fromEntries(
    await Promise.all(NAMES.map(async name => [name, await page(platform.server, model, name, 0)] as const)),
  )
  const path = join(dir, 'pages.json')
  await writeFile(path, JSON.stringify(pages))
  const peer = stack.adopt(await startPeer(path, watched(join(dir, 'peer'))), child => void child.kill())
  const figures: string[][] = []
  for (const name of NAMES) {
    const contestants = [
      {
        of: 'Teatree',
        child: platform.process,
        file: join(dir, 'platform'),
        ask: (n: number) => page(platform.server, model, name, n),
      },
      {
        of: 'stock',
        child: peer,
        file: join(dir, 'peer'),
        ask: () => graphql({ url: peer.url }, `{ ${name} { ${SELECTED[name]} } }`),
      },
    ]
    const taken = contestants.map(() => ({ rates: [] as number[], times: [] as number[], delays: [] as LoopDelay[] }))
    for (let round = 0; round <= ROUNDS; round++)
      for (const [index, { child, file, ask }] of contestants.entries()) {
        await told(child, file)
        const from = round * 10_007
        const { times, seconds } = await askAtOnce({ clients: CLIENTS, seconds: SECONDS, from }, async n => {
          await ask(n)
        })
        const delay = await told(child, file)
        // The first round warms up.
        if (round === 0) continue
        taken[index]?.rates.push(times.length / seconds)
        taken[index]?.times.push(...times)
        taken[index]?.delays.push(delay)
      }
    for (const [index, { of }] of contestants.entries()) {
      const { rates = [], times = [], delays = [] } = taken[index] ?? {}
      figures.push([
        `${name}: ${of}`,
        median(rates).toFixed(0),
        ms(quantile(times, 0.5)),
        ms(quantile(times, 0.99)),
        ...(['p99', 'max', 'cpuP99', 'cpuMax'] as const).map(which => ms(median(delays.map(delay => delay[which])))),
      ])
    }
  }
  process.stdout.write(
    `\nmedians of ${ROUNDS} rounds of ${SECONDS} s; latencies over all; the loop is looked at every millisecond\n\n${table(
      ['page of 1,000', 'pages/s', 'p50 ms', 'p99 ms', 'loop p99', 'max ms', 'of it CPU p99', 'max ms'],
      figures,
    )}`,
  )
}

const preload = new URL('./peers/loop-delay.ts', import.meta.url).href
const watched = (file: string) => ({ nodeArgs: ['--import', preload], env: { BENCH_LOOP_DELAY: file } })

/** What the process tells of its event loop since it was last asked. */
async function told(child: ChildProcess, file: string): Promise<LoopDelay> {
  await rm(file, { force: true })
  child.kill('SIGUSR2')
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => null)
    if (text !== null) return JSON.parse(text) as LoopDelay
    await wait(5)
  }
}

/** A model with a version before all sales were changed, and one after. */
async function fill(server: Server, rows: number): Promise<string> {
  const model = await createModel(server, { kind: 'sales' })
  const { sites, products } = makeCompany(seeded(1))
  const append = (name: string, type: string, given: readonly object[]) =>
    submit(server, { name, types: `$model: ID!, $rows: [${type}!]!`, variables: { model, rows: given } })
  await append(
    'appendSites',
    'SiteInput',
    sites.map(({ siteId, name, region, country }) => ({ siteId, name, region, country })),
  )
  await append(
    'appendProducts',
    'ProductInput',
    products.map(({ productId, name, category }) => ({ productId, name, category })),
  )
  await importSales(server, model, salesCsv(rows))
  await submit(server, {
    name: 'updateSales',
    types: '$model: ID!, $where: SaleWhere!, $set: SalePatch!',
    variables: { model, where: { line: { gte: 1 } }, set: { salespersonId: 'nobody' } },
  })
  return model
}

async function page(server: Server, model: string, name: Name, n: number): Promise<unknown> {
  const above = threshold(n)
  const variables = name === 'sql' ? { model, json: above } : { model, above }
  const types = name === 'sql' ? '$json: JSON' : '$above: Decimal!'
  const query = `query ($model: ID!, ${types}) { salesModel(id: $model) { snapshot { page: ${FIELD[name]} { ${SELECTED[name]} } } } }`
  const { salesModel } = await graphql<{ salesModel: { snapshot: { page: { nodes?: unknown[]; rows?: unknown[] } } } }>(
    server,
    query,
    variables,
  )
  const found = salesModel.snapshot.page
  if ((found.nodes ?? found.rows)?.length !== ROWS) throw new Error(`${name} is no page of ${ROWS}`)
  return found
}

async function startPeer(
  path: string,
  { nodeArgs, env }: ReturnType<typeof watched>,
): Promise<ChildProcess & { url: string }> {
  const program = fileURLToPath(new URL('./peers/stock-yoga.ts', import.meta.url))
  const child = spawn(process.execPath, [...nodeArgs, program, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production', ...env },
  })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return Object.assign(child, { url: line })
}
