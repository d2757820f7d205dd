import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as websocket from '../../examples/live-page/websocket.ts'
import { removeCompletions } from '../../src/jobs/completion-pages.ts'
import type { Identify } from '../../src/server/callers.ts'
import { openServer, type TestServer } from '../support/http-server.ts'
import { LIVE_PAGES } from '../support/live-pages.ts'
import { sale } from '../support/sales-model.ts'
import { startTcpProxy, type TcpProxy, type Verdict } from '../support/tcp-proxy.ts'
import { WatchedScreen } from '../support/watched-screen.ts'

/** For how long credentials hold; null: for good. */
let holdMs: number | null = null
let calls = 0
const identify: Identify = async () => {
  calls++
  return { user: { id: 'ada' }, expiresAt: holdMs === null ? null : Date.now() + holdMs }
}
/** What becomes of what comes down. */
let verdict: Verdict = 'pass'
let server: TestServer
let proxy: TcpProxy
beforeAll(async () => {
  server = await openServer({ identify })
  proxy = await startTcpProxy(server.url, side => (side === 'down' ? verdict : 'pass'))
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

const upsert = (model: string, siteId: string) => server.run(model, 'upsertSites', { rows: [{ siteId, name: siteId }] })

type Follow = (url: string, model: string, screen: WatchedScreen, signal: AbortSignal) => Promise<void>

/** A page that has been told the state; `left` ends it. */
async function shown(follow: Follow, model: string) {
  const screen = new WatchedScreen()
  const left = new AbortController()
  const following = follow(proxy.url, model, screen, left.signal)
  await screen.until(() => screen.results !== undefined)
  return { screen, left, following }
}

describe.each(LIVE_PAGES)('a live page %s', (_, follow) => {
  test('begins anew where what ended while it was away is not kept any more, and goes on', async () => {
    const model = await server.salesModel()
    const { screen, left, following } = await shown(follow, model)
    await upsert(model, 'A')
    await screen.until(() => screen.seqs.length === 1)
    verdict = 'cut'
    await upsert(model, 'B')
    await screen.until(() => screen.aways > 0)
    await upsert(model, 'C')
    await removeCompletions(server.db, { entries: 1, days: 36_500 })
    verdict = 'pass'
    await screen.until(() => screen.starts === 2)
    expect(screen.results?.version).toBe(3)
    await upsert(model, 'D')
    await screen.until(() => screen.seqs.length > 0)
    expect(screen.seqs).toEqual([4])
    expect(screen.results?.version).toBe(4)
    left.abort()
    await following
  })

  test('comes back with new credentials where they have expired', async () => {
    const model = await server.salesModel()
    holdMs = 700
    const { screen, left, following } = await shown(follow, model)
    for (const siteId of ['A', 'B', 'C']) {
      const { aways } = screen
      const callsBefore = calls
      await upsert(model, siteId)
      await screen.until(() => screen.aways > aways && calls > callsBefore)
    }
    holdMs = null
    await screen.until(() => screen.seqs.length === 3)
    expect(screen.seqs).toEqual([1, 2, 3])
    expect(screen.starts).toBe(1)
    left.abort()
    await following
  })

  test('ends when the model is deleted, and says what is refused', async () => {
    const [model, other] = [await server.salesModel(), await server.salesModel()]
    const { screen: ending, following } = await shown(follow, model)
    // By then it is subscribed.
    await upsert(model, 'A')
    await ending.until(() => ending.seqs.length === 1)
    await server.answer('mutation ($id: ID!) { deleteModel(id: $id) }', { id: model })
    await following
    const { screen, following: refused } = await shown(follow, other)
    verdict = 'cut'
    await upsert(other, 'A')
    await screen.until(() => screen.aways > 0)
    await server.answer('mutation ($id: ID!) { deleteModel(id: $id) }', { id: other })
    verdict = 'pass'
    await expect(refused).rejects.toThrow(`There is no model ${other}.`)
  })
})

test('a live page over a WebSocket notices that the network has gone without a word', async () => {
  const model = await server.salesModel()
  const { screen, left, following } = await shown(
    (url, ...rest) => websocket.follow(websocket.connect(`${url}/graphql`), ...rest),
    model,
  )
  await upsert(model, 'A')
  await screen.until(() => screen.seqs.length === 1)
  verdict = 'swallow'
  await upsert(model, 'B')
  await screen.until(() => screen.aways > 0)
  verdict = 'pass'
  await screen.until(() => screen.seqs.length === 2)
  expect(screen.seqs).toEqual([1, 2])
  left.abort()
  await following
})

test('two live pages over one WebSocket that begin at the same cursor are each told all of it, once', async () => {
  const model = await server.salesModel()
  const client = websocket.connect(`${proxy.url}/graphql`)
  const follow: Follow = (_, ...rest) => websocket.follow(client, ...rest)
  const first = await shown(follow, model)
  // A refused intent ends without a version, whose cursor stays where it is.
  const twice = [sale({ orderId: 'A' }), sale({ orderId: 'A' })]
  expect(await server.run(model, 'appendSales', { rows: twice })).toMatchObject({ status: 'FAILED' })
  await first.screen.until(() => first.screen.seqs.length === 1)
  const second = await shown(follow, model)
  await second.screen.until(() => second.screen.seqs.length === 1)
  await upsert(model, 'B')
  for (const { screen, left, following } of [first, second]) {
    await screen.until(() => screen.seqs.includes(2))
    expect(screen.seqs).toEqual([1, 2])
    left.abort()
    await following
  }
})
