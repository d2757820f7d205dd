import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { LOAD } from '../../examples/live-page/newest-sales.ts'
import { LIVE_PAGES } from '../support/live-pages.ts'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, createModel, sale } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { WatchedScreen } from '../support/watched-screen.ts'

describe.each(LIVE_PAGES)('a live page %s', (_, follow) => {
  test('is told of all that ends, once and in order, through broken connections, kill -9, a proxy that answers 503 and a stop', {
    timeout: 180_000,
  }, async () => {
    await using stack = new AsyncDisposableStack()
    const platform = stack.use(await startPlatform())
    const starting = stack.use(await startRefusing())
    let target = platform.url
    let isCutting = false
    const proxy = stack.use(
      await startTcpProxy(
        () => target,
        side => {
          if (side === 'up' || !isCutting) return 'pass'
          isCutting = false
          return 'cut'
        },
      ),
    )
    const model = await createModel(platform, { kind: 'sales' })
    await appendSales(platform, model, [{ orderId: 'BEFORE' }])

    const screen = new WatchedScreen()
    const left = new AbortController()
    const following = follow(proxy.url, model, screen, left.signal)
    await screen.until(() => screen.starts === 1)
    const begin = screen.results?.cursor
    const writing = new AbortController()
    const written = write(platform, model, writing.signal)
    stack.defer(async () => {
      writing.abort()
      left.abort()
      await Promise.all([written, following])
    })
    /** So many more are told, after all that this took to happen. */
    const goOn = async (more: number) => {
      const enough = screen.seqs.length + more
      await screen.until(() => screen.seqs.length >= enough)
    }
    await goOn(5)

    for (let cuts = 0; cuts < 3; cuts++) {
      const { aways } = screen
      isCutting = true
      await screen.until(() => screen.aways > aways)
      await goOn(5)
    }

    target = starting.url
    platform.process.kill('SIGKILL')
    await starting.asked
    await platform.restart()
    target = platform.url
    await goOn(5)

    const { aways } = screen
    await platform.restart(() => screen.until(() => screen.aways > aways))
    target = platform.url
    await goOn(5)

    writing.abort()
    await written
    const last = await appendSales(platform, model, [{ orderId: 'LAST', date: '2025-12-31' }])
    await screen.until(() => screen.seqs.includes(Number(last.seq)))
    expect(screen.seqs).toEqual(await logOf(platform, model, begin, Number(last.seq)))
    expect(screen.starts).toBe(1)
    const { salesModel } = await platform.graphql(LOAD, { model })
    expect(screen.results).toEqual(salesModel.snapshot)
  })
})

/** What stands in for a server that starts: to everything it answers 503. */
async function startRefusing(): Promise<AsyncDisposable & { url: string; asked: Promise<void> }> {
  const asked = Promise.withResolvers<void>()
  const server = createServer((_, response) => {
    response.writeHead(503, { connection: 'close' }).end()
    asked.resolve()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: asked.promise,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

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
    while (!signal.aborted && !(await submit().catch(() => null))?.data?.appendSales);
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
