import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../src/engine/seeded-random.ts'
import { followLog, startOfLog, type Transport } from '../support/log-followers.ts'
import { LONGER } from '../support/longer.ts'
import { endings, submitMixed, wholeLog } from '../support/mixed-intents.ts'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'
import { createModel } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const INTENTS = 1000 * LONGER
const CUTS = 100 * LONGER
/** TEATREE_TEST_CUTS_SEED says which. */
const SEED = Number(process.env.TEATREE_TEST_CUTS_SEED) || randomInt(1, 2 ** 31)

/** Sizes of pages, so that some are much longer than what most connections live for. */
const CLIENTS: readonly [Transport, number][] = [
  ['websocket', 7],
  ['websocket', 50],
  ['websocket', 300],
  ['events', 7],
  ['events', 50],
  ['events', 300],
]

let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(() => platform[Symbol.asyncDispose]())

/** In front of the platform: each connection ends after so many bytes of answers as chance has it, until there were CUTS. */
async function startCutter(random: () => number) {
  const lives = new WeakMap<object, number>()
  let cuts = 0
  const proxy = await startTcpProxy(platform.url, (side, chunk, exchange) => {
    const life = lives.get(exchange) ?? Math.floor(2 ** (17 * random()))
    lives.set(exchange, life)
    if (side === 'up' || cuts === CUTS || exchange.down < life) return 'pass'
    cuts += 1
    return random() < 0.5 ? 'cut' : chunk.length - (exchange.down - life)
  })
  return {
    url: proxy.url,
    get cuts() {
      return cuts
    },
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}

test(`${CUTS} cuts at any byte while ${INTENTS} intents end: who comes back is told of each once, in order (seed ${SEED})`, {
  timeout: 240_000,
}, async () => {
  await using cutter = await startCutter(seededRandom(String(SEED)))
  const model = await createModel(platform, { kind: 'sales' })
  const after = await startOfLog(platform, model)
  const begin = ([transport, pageSize]: (typeof CLIENTS)[number]) =>
    followLog(transport, { url: () => cutter.url, model, after, pageSize })
  using stack = new DisposableStack()
  const early = CLIENTS.map(client => stack.use(begin(client)))
  await submitMixed(() => platform.url, model, { count: INTENTS, clients: 40, name: 'M' })
  const log = await wholeLog(platform, model)
  const ended = await endings(platform, model)
  expect(Object.keys(ended).sort()).toEqual(['CANCELLED', 'FAILED', 'PUBLISHED', 'QUERY_RUN'])
  expect(log).toHaveLength(Object.values(ended).reduce((sum, count) => sum + count))
  for (const follower of early) await follower.agrees(log)
  while (cutter.cuts < CUTS) {
    using late = new DisposableStack()
    for (const follower of CLIENTS.map(client => late.use(begin(client)))) await follower.agrees(log)
  }
})

test(`a query under fire, and the completions behind its cursor: everything once, without a seam (seed ${SEED})`, {
  timeout: 240_000,
}, async () => {
  await using cutter = await startCutter(seededRandom(String(SEED)))
  const model = await createModel(platform, { kind: 'sales' })
  const after = await startOfLog(platform, model)
  using probe = followLog('websocket', { url: () => platform.url, model, after, pageSize: 50 })
  const submit = (name: string) => submitMixed(() => platform.url, model, { count: 150, clients: 6, name })
  const starts: { orders: string[]; cursor: string }[] = []
  for (const name of ['A', 'B', 'C']) {
    const seen = probe.seen.length
    const isOver = submit(name)
    await probe.until(seen + 1)
    starts.push(await stateOf(model))
    await isOver
  }
  await submit('D')
  const log = await wholeLog(platform, model)
  const published = await ordersOf(model)
  for (const [index, { orders, cursor }] of starts.entries()) {
    expect(orders.length).toBeLessThan(published.size)
    const [transport, pageSize] = CLIENTS[index] ?? ['events', 50]
    using follower = followLog(transport, { url: () => cutter.url, model, after: cursor, pageSize })
    // Behind the cursor there may be others than those that were published.
    await follower.until(log.at(-1) ?? '')
    expect(follower.seen).toEqual(log.slice(-follower.seen.length))
    expect([...orders, ...follower.seen.flatMap(id => published.get(id) ?? [])].sort()).toEqual(
      [...published.values()].sort(),
    )
  }
})

/** All orders of the newest version, and where its completions end. */
async function stateOf(model: string) {
  const { salesModel } = await platform.graphql(
    'query ($id: ID!) { salesModel(id: $id) { snapshot { cursor sales(first: 1000) { nodes { orderId } } } } }',
    { id: model },
  )
  const { cursor, sales } = salesModel.snapshot
  return { cursor, orders: sales.nodes.map(({ orderId }: Answer) => orderId) as string[] }
}

/** The order that each intent which was published has appended. */
async function ordersOf(model: string): Promise<Map<string, string>> {
  const rows = await query<{ id: string; order: string }>(
    platform.databaseUrl,
    `SELECT id, arguments -> 'rows' -> 0 ->> 'orderId' AS "order" FROM intent
      WHERE model = '${model}' AND function = 'appendSales' AND status = 'PUBLISHED'`,
  )
  return new Map(rows.map(({ id, order }) => [id, order]))
}
