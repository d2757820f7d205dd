import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { graphql } from '../src/commands/client.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import { SubscriberProcess } from './peers/subscriber-process.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'
import { cpuSeconds, residentBytes, stop } from './processes.ts'
import { salesCsv } from './sales.ts'

const ROUNDS = 3
/** Publications of a round, one after the other. */
const PER_ROUND = 10
/** Then so long as fast as they can be taken. */
const FLOOD_MS = 3000
const ROWS = 100_000
/** Of many models, those in which something is published. */
const PUBLISHED_IN = 100

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
const SHAPES = ['1', '100', '1000', '10000', '1000x10']

interface Contestant {
  name: string
  process: ChildProcess
  url: string
  query: string
  models: readonly string[]
  /** So many publications may be on their way in a flood: what keeps it busy. */
  underWay: number
  /** Has something published in the model. */
  publish(model: string): Promise<void>
}

/** One who is measured, with its subscribers. */
interface Entrant {
  contestant: Contestant
  subscribers: SubscriberProcess
  bytesPerSubscriber: number
  /** From the publication to the receipt of each, in milliseconds: one publication after the other. */
  times: number[]
  paced: Stretch[]
  flood: Stretch[]
  publications: number
}

/** What came, and what that cost. */
interface Stretch {
  seconds: number
  messages: number
  completions: number
  bytes: number
  checked: number
  /** Of the process that serves; of the one that holds the subscriptions. */
  cpu: number
  clientCpu: number
}

const NOTE = `What is published comes by the same way as ever: Teatree takes a mutation over HTTP, its manager makes a version, the log of
completions is read from PostgreSQL and the page of results from the version. The peer's payloads are handed to it in memory. So at few
subscribers Teatree's rate is that of its versions, and "busy" says how much of a core its process then takes; the row of one subscriber
says what a publication costs it, which is in all rows; "each more" is without it. What it is told of together is delivered in one message: "completions/s" counts
what was told, "deliveries/s" messages. CPU is that of the serving process alone, of all its threads, without manager and PostgreSQL.
`

/**
 * Completions with the page of results that is shown, told to subscribers over WebSockets that a process of its own holds:
 * 1, 100, 1,000 and 10,000 of one model, and 10 each of 1,000 models; or as is said, `1000` or `50x20`. Beside it, in
 * the same run and in turn: graphql-ws with graphql-yoga's publish and subscribe, which is handed the same payloads.
 */
export async function run(args: string[]): Promise<void> {
  process.stdout.write(
    `graphql-ws ${versionOf('graphql-ws')} · graphql-yoga ${versionOf('graphql-yoga')} · ws ${versionOf('ws')}\n`,
  )
  const figures: string[][] = []
  const alone = new Map<string, number>()
  for (const asked of args.length > 0 ? args : SHAPES) {
    const shape = shapeOf(asked)
    await using stack = new AsyncDisposableStack()
    const platform = stack.use(await startBenchPlatform())
    const ours = await teatree(platform, shape)
    const stock = await stockSubscriptions(platform, ours.models)
    stack.defer(() => stop(stock.process))
    const entrants: Entrant[] = []
    for (const contestant of [ours, stock]) {
      const subscribers = stack.use(new SubscriberProcess())
      entrants.push(await enter(contestant, subscribers, shape))
    }
    for (let round = 0; round <= ROUNDS; round++)
      for (const entrant of entrants) await measure(entrant, shape, round > 0)
    figures.push(...rowsOf(shape, entrants, alone))
  }
  process.stdout.write(
    `\n${NOTE}\n${ROUNDS} rounds, each of ${PER_ROUND} publications one after the other (CPU per delivery, p50 and p99 from publication to receipt) and ${FLOOD_MS} ms
of as many as can be taken (the rates); medians of the rounds, times over all\n\n${table(HEADING, figures)}`,
  )
}

function shapeOf(asked: string): Shape {
  const [, models = '1', subscribers = ''] = /^(?:(\d+)x)?(\d+)$/.exec(asked) ?? []
  if (subscribers === '')
    throw new Error(`not a shape: ${asked}; say 1000, or 50x20 for 20 subscribers of each of 50 models`)
  return { models: Number(models), subscribers: Number(subscribers) }
}

async function enter(contestant: Contestant, subscribers: SubscriberProcess, shape: Shape): Promise<Entrant> {
  const { process, url, query, models } = contestant
  const before = await residentBytes(process)
  await subscribers.open({ open: shape.subscribers, url, query, variables: models.map(model => ({ model })) })
  const bytesPerSubscriber = ((await residentBytes(process)) - before) / (shape.subscribers * models.length)
  return { contestant, subscribers, bytesPerSubscriber, times: [], paced: [], flood: [], publications: 0 }
}

/** A round; the first one warms up. */
async function measure(entrant: Entrant, shape: Shape, counts: boolean): Promise<void> {
  const paced = await stretch(entrant, shape, 1, ({ done }) => done === PER_ROUND)
  const flood = await stretch(entrant, shape, entrant.contestant.underWay, ({ ms }) => ms >= FLOOD_MS)
  if (!counts) return
  entrant.times.push(...paced.times)
  entrant.paced.push(paced)
  entrant.flood.push(flood)
}

/** Publications, so many on their way at once, until it is enough, and all have come to all whom they are told. */
async function stretch(
  entrant: Entrant,
  { subscribers: each }: Shape,
  underWay: number,
  isEnough: (so: { done: number; ms: number }) => boolean,
): Promise<Stretch & { times: number[] }> {
  const { contestant, subscribers } = entrant
  const cpu = await cpuSeconds(contestant.process)
  const clientCpu = await cpuSeconds(subscribers.process)
  const began = performance.now()
  let [published, whole] = [0, 0]
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const goOn = () => {
    const ms = performance.now() - began
    while (published - whole < underWay && !isEnough({ done: published, ms })) {
      const model = contestant.models[entrant.publications++ % Math.min(PUBLISHED_IN, contestant.models.length)] ?? ''
      published += 1
      contestant.publish(model).catch(reject)
    }
    if (published === whole) resolve()
  }
  subscribers.onWhole = () => {
    whole += 1
    goOn()
  }
  goOn()
  await subscribers.orFail(promise)
  const seconds = (performance.now() - began) / 1000
  const told = await subscribers.tell()
  if (told.completions !== published * each)
    throw new Error(`${contestant.name}: ${told.completions} completions were told, and not ${published * each}`)
  return {
    ...told,
    seconds,
    cpu: (await cpuSeconds(contestant.process)) - cpu,
    clientCpu: (await cpuSeconds(subscribers.process)) - clientCpu,
  }
}

const HEADING = [
  'models × subscribers',
  'CPU µs each',
  '',
  'each more',
  '',
  'deliveries/s',
  '',
  'completions/s',
  '',
  'busy',
  'client',
  'p50 ms',
  'p99 ms',
  'bytes',
  'KiB/sub',
]

/** `alone`: the CPU time of a publication with one subscriber, in microseconds, by the contestant's name. */
function rowsOf({ models, subscribers }: Shape, entrants: readonly Entrant[], alone: Map<string, number>): string[][] {
  const figures = entrants.map(({ paced, flood }) => ({
    cost: median(paced.map(costOf)),
    deliveries: median(flood.map(({ messages, seconds }) => messages / seconds)),
    completions: median(flood.map(({ completions, seconds }) => completions / seconds)),
    busy: median(flood.map(({ cpu, seconds }) => cpu / seconds)),
    client: median(flood.map(({ clientCpu, seconds }) => clientCpu / seconds)),
    bytes: median(paced.map(({ bytes, messages }) => bytes / messages)),
  }))
  if (models === 1 && subscribers === 1)
    for (const [index, { contestant }] of entrants.entries()) alone.set(contestant.name, figures[index]?.cost ?? 0)
  /** What each subscriber past the first costs. Of few it would be lost in what publications differ by. */
  const more = (index: number) => {
    const first = alone.get(entrants[index]?.contestant.name ?? '')
    if (first === undefined || subscribers < 1000) return Number.NaN
    return ((figures[index]?.cost ?? 0) * subscribers - first) / (subscribers - 1)
  }
  const told = (figure: number, digits: number, unit = '') =>
    Number.isNaN(figure) ? '' : figure.toFixed(digits) + unit
  const peer = figures.at(-1)
  const times = (ratio: number | undefined) => `${ratio?.toFixed(2)}x`
  return entrants.map(({ contestant, times: taken, bytesPerSubscriber }, index) => {
    const { cost = 0, deliveries = 0, completions = 0, busy = 0, client = 0, bytes = 0 } = figures[index] ?? {}
    return [
      `${models} × ${subscribers}: ${contestant.name}`,
      cost.toFixed(1),
      times((peer?.cost ?? 0) / cost),
      told(more(index), 1),
      told(more(figures.length - 1) / more(index), 2, 'x'),
      deliveries.toFixed(0),
      times(deliveries / (peer?.deliveries ?? 0)),
      completions.toFixed(0),
      times(completions / (peer?.completions ?? 0)),
      `${(busy * 100).toFixed(0)} %`,
      `${(client * 100).toFixed(0)} %`,
      ms(quantile(taken, 0.5)),
      ms(quantile(taken, 0.99)),
      bytes.toFixed(0),
      // What few take is lost in what the process takes anyway.
      models * subscribers < 100 ? '' : (bytesPerSubscriber / 1024).toFixed(1),
    ]
  })
}

/** Microseconds of CPU for each delivery. */
const costOf = ({ cpu, messages }: Stretch): number => (cpu * 1e6) / messages

async function teatree(platform: BenchPlatform, { models }: Shape): Promise<Contestant> {
  const ids: string[] = []
  const maker = async () => {
    while (ids.length < models) {
      const place = ids.push('') - 1
      ids[place] = await createModel(platform.server, { kind: 'sales' })
    }
  }
  await Promise.all(Array.from({ length: 4 }, maker))
  // Those in which something is published.
  for (const id of ids.slice(0, PUBLISHED_IN)) await importSales(platform.server, id, salesCsv(ROWS / models))
  let order = 0
  return {
    name: 'Teatree',
    process: platform.process,
    url: platform.url,
    query: QUERY,
    models: ids,
    underWay: 64,
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
    underWay: 4,
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
