import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { graphql } from '../src/commands/client.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import type { SubscribersOrder } from './peers/subscribers.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'
import { salesCsv } from './sales.ts'

const ROUNDS = 5
/** Publications of a round. */
const PER_ROUND = 10
const ROWS = 100_000

const INTENT = 'id seq status endedAt'
const PAGE = `nodes { orderId line date siteId productId customerId salespersonId quantity amount }
  pageInfo { hasNextPage endCursor }`
/** The page of results that a dashboard shows. */
const SALES = `sales(first: 20, orderBy: [{ column: date, direction: DESC }]) { ${PAGE} }`
const QUERY = `subscription ($model: ID!) { completions(model: $model) {
  edges { node { ... on Intent { ${INTENT} } } } cursor snapshot { version ... on SalesSnapshot { ${SALES} } } } }`
const STOCK_QUERY = `subscription ($model: ID!) { completions(model: $model) {
  edges { node { ${INTENT} } } cursor snapshot { version sales { ${PAGE} } } } }`

/** What is subscribed to: so many models, with so many subscribers each. */
interface Shape {
  models: number
  subscribers: number
}
interface Contestant {
  name: string
  process: ChildProcess
  url: string
  query: string
  models: readonly string[]
  /** Has something published in the model. */
  publish(model: string): Promise<void>
}
interface Taken {
  /** From the publication to the receipt of each, in milliseconds. */
  times: number[]
  /** From the first publication of a round to the last receipt. */
  rates: number[]
  bytesPerSubscriber: number
}

/**
 * Completions with the page of results that is shown, told to subscribers over WebSockets that a process of its own holds:
 * 100, 1,000 and 10,000 of one model (or as many as are named), and 10 each of 1,000 models. Beside it, in the same
 * run: graphql-ws with graphql-yoga's publish and subscribe, which is handed the same payloads.
 */
export async function run(args: string[]): Promise<void> {
  const counts = args.length > 0 ? args.map(Number) : [100, 1000, 10_000]
  const shapes = [
    ...counts.map(subscribers => ({ models: 1, subscribers })),
    ...(args.length > 0 ? [] : [{ models: 1000, subscribers: 10 }]),
  ]
  process.stdout.write(
    `graphql-ws ${versionOf('graphql-ws')} · graphql-yoga ${versionOf('graphql-yoga')} · ws ${versionOf('ws')}\n`,
  )
  const figures: string[][] = []
  for (const shape of shapes) {
    await using stack = new AsyncDisposableStack()
    const platform = stack.use(await startBenchPlatform())
    const ours = await teatree(platform, shape)
    const stock = await stockSubscriptions(platform, ours.models)
    stack.defer(() => stop(stock.process))
    const taken = new Map<Contestant, Taken>()
    for (const contestant of [ours, stock]) taken.set(contestant, await measure(contestant, shape))
    const rate = (of: Contestant) => median(taken.get(of)?.rates ?? [])
    for (const contestant of [ours, stock]) {
      const { times = [], bytesPerSubscriber = 0 } = taken.get(contestant) ?? {}
      figures.push([
        `${shape.models} × ${shape.subscribers}: ${contestant.name}`,
        rate(contestant).toFixed(0),
        `${(rate(contestant) / rate(stock)).toFixed(2)}x`,
        ms(quantile(times, 0.5)),
        ms(quantile(times, 0.99)),
        (bytesPerSubscriber / 1024).toFixed(1),
      ])
    }
  }
  process.stdout.write(
    `\n${ROUNDS} rounds of ${PER_ROUND} publications, one after the other; rates are medians of the rounds, times over all\n\n${table(
      ['models × subscribers', 'deliveries/s', '/ stock', 'p50 ms', 'p99 ms', 'KiB each'],
      figures,
    )}`,
  )
}

async function measure(
  { process: serving, url, query, models, publish }: Contestant,
  { subscribers }: Shape,
): Promise<Taken> {
  const clients = fork(new URL('peers/subscribers.ts', import.meta.url))
  const order = async <T>(order: SubscribersOrder): Promise<T> => {
    clients.send(order)
    return (await once(clients, 'message'))[0] as T
  }
  try {
    const before = await residentBytes(serving)
    await order({ open: subscribers * models.length, url, query, variables: models.map(model => ({ model })) })
    const bytesPerSubscriber = ((await residentBytes(serving)) - before) / (subscribers * models.length)
    const taken: Taken = { times: [], rates: [], bytesPerSubscriber }
    for (let round = 0; round <= ROUNDS; round++) {
      let milliseconds = 0
      for (let n = 0; n < PER_ROUND; n++) {
        const model = models[(round * PER_ROUND + n) % models.length] ?? ''
        await order({ await: subscribers })
        const received = once(clients, 'message')
        await publish(model)
        const [{ times }] = (await received) as [{ times: number[] }]
        milliseconds += Math.max(...times)
        // The first round warms up.
        if (round > 0) taken.times.push(...times)
      }
      if (round > 0) taken.rates.push((subscribers * PER_ROUND * 1000) / milliseconds)
    }
    await order({ close: true })
    return taken
  } finally {
    await stop(clients)
  }
}

async function teatree(platform: BenchPlatform, { models }: Shape): Promise<Contestant> {
  const ids: string[] = []
  for (let n = 0; n < models; n++) ids.push(await createModel(platform.server, { kind: 'sales' }))
  // Those in which something is published.
  for (const id of ids.slice(0, PER_ROUND * (ROUNDS + 1)))
    await importSales(platform.server, id, salesCsv(ROWS / models))
  let order = 0
  return {
    name: 'Teatree',
    process: platform.process,
    url: platform.url,
    query: QUERY,
    models: ids,
    async publish(model) {
      const text = 'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }'
      await graphql(platform.server, text, { model, rows: [sale(++order)] })
    },
  }
}

const sale = (order: number) => ({
  orderId: `BENCH-${order}`,
  line: 1,
  date: '2026-06-01',
  siteId: 'S01',
  productId: 'T001',
  customerId: 'C0001',
  quantity: '1.0000',
  amount: '1.0000',
})

/** Its payloads are such as the platform's: of the same page. */
async function stockSubscriptions(platform: BenchPlatform, models: readonly string[]): Promise<Contestant> {
  const child = fork(new URL('peers/stock-subscriptions.ts', import.meta.url), { execArgv: ['--no-warnings'] })
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  const snapshot = await page(platform, models[0] ?? '')
  const event = (topic: string, edges: object[]) => ({
    topic,
    completions: { edges, cursor: 'x'.repeat(60), snapshot },
  })
  child.send(event('', []))
  let seq = 0
  return {
    name: 'graphql-ws and Yoga',
    process: child,
    url,
    query: STOCK_QUERY,
    models,
    async publish(model) {
      const node = {
        id: crypto.randomUUID(),
        seq: String(++seq),
        status: 'PUBLISHED',
        endedAt: new Date().toISOString(),
      }
      child.send(event(model, [{ node }]))
    },
  }
}

async function page({ server }: BenchPlatform, model: string): Promise<object> {
  const text = `query ($model: ID!) { salesModel(id: $model) { snapshot { version ${SALES} } } }`
  return (await graphql<{ salesModel: { snapshot: object } }>(server, text, { model })).salesModel.snapshot
}

async function residentBytes({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
