import { expect, test } from 'vitest'
import type { OutboxLimits } from '../../src/server/outbox.ts'
import { type Answer, openServer, type TestServer } from '../support/http-server.ts'
import { type Connected, connect } from '../support/websocket.ts'

/** Subscriptions that are open, as an operator sees it. */
async function subscriptions({ url }: TestServer): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^teatree_subscriptions\S* (\d+)/m.exec(text)?.[1])
}

/** Stops taking what comes, as a client does that is too busy; goes on where the answer is called. */
function stall({ socket }: Connected): () => void {
  socket.pause()
  return () => socket.resume()
}

const LARGE = `subscription ($model: ID!, $after: String) { completions(model: $model, after: $after) {
  cursor edges { node { ... on Intent { seq } } } snapshot { ... on SalesSnapshot { sites(first: 1000) { nodes { siteId name region } } } } } }`

async function largeModel(server: TestServer): Promise<string> {
  const rows = Array.from({ length: 1000 }, (_, n) => ({
    siteId: `S${n}`,
    name: 'x'.repeat(500),
    region: 'y'.repeat(300),
  }))
  return server.salesModel(['upsertSites', { rows }])
}

/** 20 intents, each a version. */
async function submit(server: TestServer, model: string): Promise<void> {
  for (let n = 0; n < 20; n++) await server.run(model, 'upsertSites', { rows: [{ siteId: `S${n}`, name: `S${n}` }] })
}

const seqs = (page: Answer): number[] => page.edges.map(({ node }: Answer) => Number(node.seq))
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

/** What comes until the intent with this seq, the number of pages, and the cursor of the last. */
async function until({ next }: Connected, last: number) {
  const seen: number[] = []
  for (let pages = 1; ; pages++) {
    const page = (await next()).payload.data.completions
    seen.push(...seqs(page))
    if (seen.at(-1) === last) return { seen, pages, cursor: page.cursor }
  }
}

test('one that is slow is sent all that it missed, in fewer pages', { timeout: 120_000 }, async () => {
  await using server = await openServer()
  const model = await largeModel(server)
  const connected = await connect(server.url)
  connected.subscribe('1', { query: LARGE, variables: { model } })
  await connected.next()
  const goOn = stall(connected)
  await submit(server, model)
  goOn()
  const { seen, pages } = await until(connected, 21)
  expect(seen).toEqual(numbers(2, 21))
  expect(pages).toBeLessThan(20)
  connected.socket.close()
})

test.for<[why: string, limits: OutboxLimits]>([
  ['stays slow', { slowMs: 500 }],
  ['is one of too many that are', { maxBytes: 500_000 }],
])('one that %s is sent away, and goes on where it was', { timeout: 120_000 }, async ([, limits]) => {
  await using server = await openServer({ outbox: limits })
  const model = await largeModel(server)
  const connected = await connect(server.url)
  connected.subscribe('1', { query: LARGE, variables: { model } })
  const { cursor } = (await connected.next()).payload.data.completions
  const goOn = stall(connected)
  await submit(server, model)
  await expect.poll(() => subscriptions(server), { timeout: 60_000 }).toBe(0)
  goOn()
  // The code comes behind what was on its way, where that is still taken.
  expect([1013, 1006]).toContain(await connected.closed)
  const again = await connect(server.url)
  again.subscribe('1', { query: LARGE, variables: { model, after: cursor } })
  expect((await until(again, 21)).seen).toEqual(numbers(2, 21))
  again.socket.close()
})
