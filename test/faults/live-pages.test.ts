import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LOAD } from '../../examples/live-page/newest-sales.ts'
import { LIVE_PAGES } from '../support/live-pages.ts'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, createModel, sale } from '../support/sales-model.ts'
import { type Exchange, type Rule, startTcpProxy } from '../support/tcp-proxy.ts'
import { WatchedScreen } from '../support/watched-screen.ts'

test('live pages are told of all that ends, once and in order, through broken connections, kill -9, a proxy that answers 503 and a stop', {
  timeout: 180_000,
}, async () => {
  await using stack = new AsyncDisposableStack()
  const platform = stack.use(await startPlatform())
  const starting = stack.use(await startRefusing())
  let target = platform.url
  const connections = new Connections()
  const proxy = stack.use(await startTcpProxy(() => target, connections.rule))
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'BEFORE' }])

  const left = new AbortController()
  const pages = LIVE_PAGES.map(([name, follow]) => {
    const screen = new WatchedScreen()
    return { name, screen, following: follow(proxy.url, model, screen, left.signal) }
  })
  const all = (reached: (screen: WatchedScreen) => () => boolean) =>
    Promise.all(pages.map(({ screen }) => screen.until(reached(screen))))
  /** Both are told of some more. */
  const goOn = () =>
    all(
      ({ seqs }, enough = seqs.length + 5) =>
        () =>
          seqs.length >= enough,
    )
  const breakOff = () =>
    all(
      (screen, { aways } = screen) =>
        () =>
          screen.aways > aways,
    )
  await all(screen => () => screen.starts === 1)
  const begins = pages.map(({ screen }) => screen.results?.cursor)
  const writing = new AbortController()
  const written = write(platform, model, writing.signal)
  stack.defer(async () => {
    writing.abort()
    left.abort()
    await Promise.all([written, ...pages.map(({ following }) => following)])
  })
  await goOn()

  for (let cuts = 0; cuts < 3; cuts++) {
    const broken = breakOff()
    connections.cut()
    await broken
    await goOn()
  }

  target = starting.url
  platform.process.kill('SIGKILL')
  await starting.askedByBoth
  await platform.restart()
  target = platform.url
  await goOn()

  const broken = breakOff()
  await platform.restart(async () => {
    await broken
  })
  target = platform.url
  await goOn()

  writing.abort()
  await written
  const last = await appendSales(platform, model, [{ orderId: 'LAST', date: '2025-12-31' }])
  await all(
    ({ seqs }) =>
      () =>
        seqs.includes(Number(last.seq)),
  )
  const { salesModel } = await platform.graphql(LOAD, { model })
  for (const [index, { name, screen }] of pages.entries()) {
    expect(screen.seqs, name).toEqual(await logOf(platform, model, begins[index], Number(last.seq)))
    expect(screen.results, name).toEqual(salesModel.snapshot)
    expect(screen.starts, name).toBe(1)
  }
})

/** Those through a proxy. Cut are those that are there, each as the next piece comes down, which is lost. */
class Connections {
  readonly #bornAfter = new WeakMap<Exchange, number>()
  #cuts = 0

  readonly rule: Rule = (side, _, exchange) => {
    const bornAfter = this.#bornAfter.get(exchange) ?? this.#cuts
    this.#bornAfter.set(exchange, bornAfter)
    return side === 'down' && bornAfter < this.#cuts ? 'cut' : 'pass'
  }

  cut(): void {
    this.#cuts++
  }
}

/** What stands in for a server that starts: to everything it answers 503. */
async function startRefusing(): Promise<AsyncDisposable & { url: string; askedByBoth: Promise<unknown> }> {
  const [byWebSocket, byEventSource] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const server = createServer(({ headers }, response) => {
    response.writeHead(503, { connection: 'close' }).end()
    if (headers.upgrade) byWebSocket.resolve()
    else byEventSource.resolve()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    askedByBoth: Promise.all([byWebSocket.promise, byEventSource.promise]),
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

/** Between two intents: written as fast as can be, they would take the processor from those who are told of them. */
const REST_MS = 20

/** Submits one intent after the other, of which every third is refused. While the platform is away it tries the same again. */
async function write(platform: TestPlatform, model: string, signal: AbortSignal): Promise<void> {
  for (let count = 0; !signal.aborted; count++) {
    const orderId = count % 3 === 2 ? 'BEFORE' : `A${count}`
    const submit = () =>
      platform.answer(
        `mutation ($model: ID!, $rows: [SaleInput!]!, $key: String!) {
           appendSales(model: $model, rows: $rows, idempotencyKey: $key, waitMs: 1000) { seq } }`,
        { model, rows: [sale({ orderId })], key: `${count}` },
      )
    while (!signal.aborted && !(await submit().catch(() => null))?.data?.appendSales) await wait(REST_MS)
    await wait(REST_MS)
  }
}

/** The log from a cursor on, up to the intent of this place. */
async function logOf(
  platform: TestPlatform,
  model: string,
  after: string | undefined,
  last: number,
): Promise<number[]> {
  const seqs: number[] = []
  const query = `subscription ($model: ID!, $after: String) { completions(model: $model, after: $after, pageSize: 1000) {
    edges { node { ... on Intent { seq } } } } }`
  for await (const { completions } of platform.subscribe(query, { model, after })) {
    seqs.push(...completions.edges.map(({ node }: Answer) => Number(node.seq)))
    if (seqs.includes(last)) return seqs
  }
  throw new Error('the log has ended')
}
