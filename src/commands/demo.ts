import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { type Company, makeCompany } from '../demo/company.ts'
import { csv, SALES_COLUMNS } from '../demo/csv.ts'
import { seeded } from '../demo/random.ts'
import { Day, makeSales } from '../demo/sales.ts'
import { UsageError } from '../platform/errors.ts'
import type { Settings } from '../platform/settings.ts'
import { AnsweredError, graphql, type Server, submit, upload } from './client.ts'
import { type AttainmentRow, attainmentTable } from './demo-table.ts'
import { showProgress } from './progress.ts'
import { startPlatform } from './serve.ts'
import { abortOn } from './stop.ts'

const SALES = 'demo-sales'
const GOALS = 'demo-goals'
const SEED = 20_130_101
/** The trickle: a new order about this often. */
const ORDER_MS = 1500

interface DemoOptions {
  rows: string
  once?: boolean
}

/** The periods of the demo on a day: last year is the basis, this year has the goals. */
function periods(today: Date) {
  const year = today.getUTCFullYear()
  const nextMonth = new Date(Date.UTC(year, today.getUTCMonth() + 1, 1)).toISOString().slice(0, 10)
  return {
    basis: `${year - 1}-01-01`,
    goal: `${year}-01-01`,
    end: `${year + 1}-01-01`,
    nextMonth,
    today: today.toISOString().slice(0, 10),
  }
}

/**
 * `teatree demo`: the platform with a made-up tea trader: a year of sales and this year's so far, goals computed from
 * them, and unless `--once` a trickle of orders, so that there is something live to look at. Started again on the same
 * data it goes on from there.
 */
export async function demo(settings: Settings, options: DemoOptions): Promise<void> {
  const rows = Number(options.rows)
  if (!Number.isInteger(rows) || rows < 100 || rows > 50_000_000)
    throw new UsageError('--rows takes a whole number from 100 to 50000000')
  const signal = abortOn(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  try {
    const { url, lost } = await startPlatform(stack, settings, signal)
    await Promise.race([show({ url: `${url}/graphql`, signal }, rows, options), lost])
  } catch (error) {
    // Told to stop, whatever was under way ends with an error.
    if (!signal.aborted) throw error
  }
}

type DemoServer = Server & { signal: AbortSignal }

async function show(server: DemoServer, rows: number, options: DemoOptions): Promise<void> {
  const company = makeCompany(seeded(SEED))
  const today = new Date()
  if (!(await isFilled(server))) await fill(server, company, rows, today)
  await report(server, today)
  process.stdout.write(`
GraphiQL          ${server.url}
The sales model   ${SALES}: salesModel(id: "${SALES}") { snapshot { salesAggregate(groupBy: [{ column: date, bucket: MONTH }]) { nodes { group { date } sum { amount } } } } }
The goals model   ${GOALS}: goalsModel(id: "${GOALS}") { snapshot { attainment(by: [SITE]) { nodes { siteId goalAmount actualAmount ratio } } } }
Live              subscription { completions(model: "${GOALS}") { snapshot { version ... on GoalsSnapshot { attainment { nodes { goalAmount actualAmount } } } } } }
`)
  if (options.once) return
  process.stdout.write('\nNew orders come in every second or two; Ctrl-C stops.\n')
  await trickle(server, company)
}

/** Goals are the last that the fill makes. */
async function isFilled(server: Server): Promise<boolean> {
  const { goalsModel } = await graphql<{ goalsModel: { snapshot: { goals: { nodes: unknown[] } } } | null }>(
    server,
    `{ goalsModel(id: "${GOALS}") { snapshot { goals(first: 1) { nodes { period } } } } }`,
  )
  return goalsModel !== null && goalsModel.snapshot.goals.nodes.length > 0
}

/** Made to be done again: what an earlier start left half done is there already, or replaced. */
async function fill(server: Server, company: Company, rows: number, today: Date): Promise<void> {
  const { basis, goal, end, today: until } = periods(today)
  await createModel(server, { id: SALES, name: 'Tea trade: sales', kind: 'sales' })
  await createModel(server, { id: GOALS, name: 'Tea trade: goals', kind: 'goals', reads: [SALES] })
  await importRows(server, 'Sites', company.sites)
  await importRows(server, 'Products', company.products)
  await importRows(server, 'Customers', company.customers)
  await importRows(server, 'Salespersons', company.salespersons)
  await importRows(
    server,
    'Sales',
    makeSales(seeded(SEED + 1), company, { rows, from: basis, to: until, prefix: 'ORD-' }),
  )
  using progress = showProgress('Computing goals')
  const intent = await submit(
    server,
    {
      name: 'computeGoals',
      types: '$model: ID!, $input: ComputeGoalsInput!',
      variables: {
        model: GOALS,
        input: {
          salesModel: SALES,
          basisPeriod: { from: basis, to: goal },
          goalPeriod: { from: goal, to: end },
          interval: 'MONTH',
          grain: ['SITE', 'SALESPERSON'],
          growth: '0.05',
        },
      },
    },
    state => progress.at(state.step ?? state.status.toLowerCase(), state.progress),
  )
  progress.done(`${String(intent.result?.cells)} cells, ${String(intent.result?.total)} in all`)
}

async function createModel(server: Server, input: { id: string; name: string; kind: string; reads?: string[] }) {
  const { model } = await graphql<{ model: object | null }>(server, 'query ($id: ID!) { model(id: $id) { id } }', {
    id: input.id,
  })
  if (model) return
  await graphql(server, 'mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }', { input })
}

async function importRows(server: Server, table: string, rows: Iterable<object>): Promise<void> {
  const name = table.toLowerCase()
  using progress = showProgress(`Importing ${name}`)
  const id = await upload(server, csv(SALES_COLUMNS[name] ?? [], rows), {
    onBytes: sent => progress.at(`${(sent / 2 ** 20).toFixed(1)} MiB`, null),
  })
  const variables = { model: SALES, source: { upload: { id } }, mode: 'REPLACE' }
  const intent = await submit(
    server,
    { name: `import${table}`, types: '$model: ID!, $source: ImportSource!, $mode: ImportMode', variables },
    state => progress.at(state.step ?? state.status.toLowerCase(), state.progress),
  )
  progress.done(`${String(intent.result?.inserted)} rows, version ${intent.version}`)
}

/** Goal and actual by site, of this year up to the end of this month. */
async function report(server: Server, today: Date): Promise<void> {
  const { goal, nextMonth } = periods(today)
  const data = await graphql<{
    goalsModel: { snapshot: { attainment: { nodes: AttainmentRow[] } } }
    salesModel: { snapshot: { sites: { nodes: { siteId: string; name: string }[] } } }
  }>(
    server,
    `query ($from: Date!, $to: Date!) {
      goalsModel(id: "${GOALS}") { snapshot { attainment(from: $from, to: $to, by: [SITE]) { nodes { siteId goalAmount actualAmount ratio } } } }
      salesModel(id: "${SALES}") { snapshot { sites(first: 1000) { nodes { siteId name } } } }
    }`,
    { from: goal, to: nextMonth },
  )
  const names = new Map(data.salesModel.snapshot.sites.nodes.map(({ siteId, name }) => [siteId, name]))
  process.stdout.write(`\nGoals and actuals from ${goal} to the end of this month, by site\n\n`)
  process.stdout.write(attainmentTable(data.goalsModel.snapshot.attainment.nodes, names))
}

/**
 * Orders of today, one every second or two, until the platform is told to stop. An order that fails is told of and let
 * be, for the platform is there to be played with; without the model no more are made.
 */
async function trickle(server: DemoServer, company: Company): Promise<void> {
  const random = seeded(Date.now())
  for (let count = 1; ; count++) {
    await wait(ORDER_MS * (0.5 + random.next()), undefined, { signal: server.signal })
    const rows = new Day(random, company, new Date(), 1).order(`LIVE-${Date.now()}-${count}`, random.integer(1, 4))
    try {
      await graphql(
        server,
        'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }',
        { model: SALES, rows },
      )
    } catch (error) {
      if (server.signal.aborted || !(error instanceof UsageError)) throw error
      const gone = error instanceof AnsweredError && error.code === 'NOT_FOUND'
      process.stderr.write(`demo: no order: ${error.message}${gone ? '; no more orders come in' : ''}\n`)
      if (gone) return void (await once(server.signal, 'abort'))
    }
  }
}
