import { makeWorkerUtils, run as runWorker } from 'graphile-worker'
import { createClient } from 'graphql-ws'
import { PgBoss } from 'pg-boss'
import WebSocket from 'ws'
import { graphql, submit } from '../src/commands/client.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'
import { salesCsv } from './sales.ts'

const ROUNDS = 5
const PER_ROUND = 60

/** Each times one thing, from its start to its end, in milliseconds. */
interface Contestant {
  name: string
  time(): Promise<number>
  /** What each time was made of, by name, where that is known. */
  parts?: Map<string, number[]>
  close(): Promise<void>
}

/**
 * One row appended to a model of a million rows: from sending the GraphQL mutation to the receipt of its completion by
 * a WebSocket subscriber, of a model that nobody reads and of one whose goals are computed of the append before meanwhile;
 * and to the receipt, by a subscriber of the goals model, of the page whose attainment holds it.
 * Beside it, on the same PostgreSQL: pg-boss from send to handler, and graphile-worker from add to start.
 */
export async function run(args: string[]): Promise<void> {
  const rows = Number(args[0] ?? 1_000_000)
  await using platform = await startBenchPlatform()
  process.stdout.write(
    `${platform.versions} · pg-boss ${versionOf('pg-boss')} · graphile-worker ${versionOf('graphile-worker')} · ${rows} rows\n`,
  )
  const { alone, sales, goals } = await fill(platform, rows)
  const contestants = [
    await appendToSubscriber(platform, alone, 'append to subscriber'),
    await appendToSubscriber(platform, sales, 'the same, while goals follow'),
    await appendToGoals(platform, sales, goals),
    await pgBoss(platform.peerUrl),
    await graphileWorker(platform.peerUrl),
  ]
  const samples = contestants.map(() => [] as number[][])
  for (let round = 0; round <= ROUNDS; round++)
    for (const [index, contestant] of contestants.entries()) {
      const times: number[] = []
      for (let count = 0; count < PER_ROUND; count++) times.push(await contestant.time())
      // The first round warms up.
      if (round > 0) samples[index]?.push(times)
    }
  for (const contestant of contestants) await contestant.close()
  const p50 = samples.map(rounds => median(rounds.map(times => quantile(times, 0.5))))
  const p99 = samples.map(rounds => quantile(rounds.flat(), 0.99))
  const ratio = (of: number[], index: number, peer: number) => `${((of[index] ?? 0) / (of[peer] ?? 1)).toFixed(1)}x`
  process.stdout.write(
    `\n${ROUNDS} rounds of ${PER_ROUND}; p50 is the median of the rounds' medians, p99 over all\n\n${table(
      ['milliseconds', 'p50', 'p99', 'p50 / pg-boss', 'p50 / graphile', 'p99 / graphile'],
      contestants.map(({ name }, index) => [
        name,
        ms(p50[index] ?? 0),
        ms(p99[index] ?? 0),
        ratio(p50, index, 3),
        ratio(p50, index, 4),
        ratio(p99, index, 4),
      ]),
    )}`,
  )
  const parts = [...(contestants[0]?.parts ?? [])]
  process.stdout.write(
    `\nwhat the first is made of\n\n${table(
      ['milliseconds', 'p50', 'p99'],
      parts.map(([name, times]) => [name, ms(quantile(times, 0.5)), ms(quantile(times, 0.99))]),
    )}`,
  )
}

/** On one machine the database's clock is the client's. */
const PARTS = ['mutation to ledger', 'ledger to manager', 'apply and publish', 'notice and delivery'] as const

/** Of the sales of `alone` nobody computes; what is appended to `sales` starts a function of `goals` each time. */
async function fill({ server }: BenchPlatform, rows: number): Promise<{ alone: string; sales: string; goals: string }> {
  const [alone, sales] = [await createModel(server, { kind: 'sales' }), await createModel(server, { kind: 'sales' })]
  const goals = await createModel(server, { kind: 'goals', reads: [sales] })
  for (const model of [alone, sales]) await importSales(server, model, salesCsv(rows))
  const input = {
    salesModel: sales,
    basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
    goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
    grain: ['SITE'],
  }
  await submit(server, {
    name: 'computeGoals',
    types: '$model: ID!, $input: ComputeGoalsInput!',
    variables: { model: goals, input },
  })
  return { alone, sales, goals }
}

/** On the clock of `performance.now()`; with the microseconds, which Date does not keep. */
const instantOf = (text: string): number =>
  Date.parse(`${text.slice(0, 19)}Z`) + Number(`0${text.slice(19, -1)}`) * 1000 - performance.timeOrigin

let order = 0
function appendOne(
  { server }: BenchPlatform,
  model: string,
  date = '2025-06-01',
): Promise<{ appendSales: { id: string } }> {
  const rows = [
    {
      orderId: `BENCH-${++order}`,
      line: 1,
      date,
      siteId: 'S01',
      productId: 'T001',
      customerId: 'C0001',
      quantity: '1',
      amount: '1',
    },
  ]
  return graphql(
    server,
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }',
    { model, rows },
  )
}

// biome-ignore lint/suspicious/noExplicitAny: what a subscription yields has the shape that its text asks for
type Page = any

/** Follows a subscription; `next(found)` settles with the first page from now on that `found` accepts. */
async function follow(url: string, query: string, model: string) {
  const client = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket })
  let found: (page: Page) => boolean = () => true
  let settle: () => void = () => {}
  const first = new Promise<void>(resolve => {
    settle = resolve
  })
  client.subscribe(
    { query, variables: { model } },
    { next: ({ data }) => found(data) && settle(), error: () => {}, complete: () => {} },
  )
  await first
  return {
    until: (accept: (page: Page) => boolean) =>
      new Promise<void>(resolve => {
        found = accept
        settle = resolve
      }),
    close: async () => client.dispose(),
  }
}

async function appendToSubscriber(platform: BenchPlatform, sales: string, name: string): Promise<Contestant> {
  const query =
    'subscription ($model: ID!) { completions(model: $model) { edges { node { ... on Intent { id submittedAt startedAt endedAt } } } } }'
  const subscriber = await follow(platform.url, query, sales)
  const parts = new Map<string, number[]>(PARTS.map(part => [part, []]))
  return {
    name,
    parts,
    async time() {
      const heard = new Map<string, { intent: Page; at: number }>()
      let id: string | undefined
      const started = performance.now()
      const ended = subscriber.until(({ completions }) => {
        for (const { node } of completions.edges) heard.set(node.id, { intent: node, at: performance.now() })
        return id !== undefined && heard.has(id)
      })
      id = (await appendOne(platform, sales)).appendSales.id
      // The notice may have been faster than the answer to the mutation.
      if (!heard.has(id)) await ended
      const { intent, at } = heard.get(id) ?? { intent: null, at: 0 }
      const instants = [intent.submittedAt, intent.startedAt, intent.endedAt].map(text => instantOf(text))
      const ends = [started, ...instants, at]
      for (const [index, part] of PARTS.entries()) parts.get(part)?.push((ends[index + 1] ?? 0) - (ends[index] ?? 0))
      return at - started
    },
    close: subscriber.close,
  }
}

async function appendToGoals(platform: BenchPlatform, sales: string, goals: string): Promise<Contestant> {
  const query = `subscription ($model: ID!) { completions(model: $model) { snapshot { ... on GoalsSnapshot {
    attainment { nodes { goalAmount actualAmount } } } } } }`
  const subscriber = await follow(platform.url, query, goals)
  const read = 'query ($model: ID!) { goalsModel(id: $model) { snapshot { attainment { nodes { actualAmount } } } } }'
  const actual = async () =>
    (await graphql<Page>(platform.server, read, { model: goals })).goalsModel.snapshot.attainment.nodes[0].actualAmount
  return {
    name: 'append to goals subscriber',
    async time() {
      const before = await actual()
      const started = performance.now()
      const ended = subscriber.until(
        ({ completions }) => completions.snapshot.attainment.nodes[0].actualAmount !== before,
      )
      await appendOne(platform, sales)
      await ended
      return performance.now() - started
    },
    close: subscriber.close,
  }
}

async function pgBoss(url: string): Promise<Contestant> {
  const boss = new PgBoss({ connectionString: url, useListenNotify: true, schedule: false })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue('bench', { notify: true })
  let handled: () => void = () => {}
  await boss.work('bench', async () => handled())
  return {
    name: 'pg-boss send to handler',
    async time() {
      const started = performance.now()
      const done = new Promise<number>(resolve => {
        handled = () => resolve(performance.now() - started)
      })
      await boss.send('bench', {})
      return done
    },
    close: () => boss.stop({ graceful: false, close: true }),
  }
}

async function graphileWorker(url: string): Promise<Contestant> {
  let handled: () => void = () => {}
  const quiet = { logger: undefined as never }
  const { Logger } = await import('graphile-worker')
  quiet.logger = new Logger(() => () => {}) as never
  const runner = await runWorker({
    connectionString: url,
    concurrency: 1,
    noHandleSignals: true,
    ...quiet,
    taskList: { bench: async () => handled() },
  })
  const utils = await makeWorkerUtils({ connectionString: url, ...quiet })
  return {
    name: 'graphile-worker add to start',
    async time() {
      const started = performance.now()
      const done = new Promise<number>(resolve => {
        handled = () => resolve(performance.now() - started)
      })
      await utils.addJob('bench', {})
      return done
    },
    async close() {
      await utils.release()
      await runner.stop()
    },
  }
}
