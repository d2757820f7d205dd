import { once } from 'node:events'
import { expect, test } from 'vitest'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { Database } from '../../src/platform/postgres.ts'
import { openServer } from '../support/http-server.ts'
import { followLog, type LogFollower, startOfLog } from '../support/log-followers.ts'
import { submitMixed, wholeLog } from '../support/mixed-intents.ts'
import { startBeside, startPlatform, type TestPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'
import { makePostgresDir } from '../support/postgres-dir.ts'
import { createModel, sale } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const INTENTS = 120

interface Fire {
  /** One over a WebSocket and one over server-sent events, on this address each time that they come. */
  follow(url: () => string): LogFollower[]
  /** Settles when all that is submitted has ended and all who follow were told of the same log. */
  over(url: () => string): Promise<void>
}

type Burning = Pick<TestPlatform, 'databaseUrl' | 'graphql'>

/** A sales model that intents of all sorts will be submitted to. */
async function openFire(platform: Burning, model: string, stack: DisposableStack): Promise<Fire> {
  const after = await startOfLog(platform, model)
  const followers: LogFollower[] = []
  return {
    follow(url) {
      const begun = (['websocket', 'events'] as const).map(transport =>
        stack.use(followLog(transport, { url, model, after, pageSize: 20 })),
      )
      followers.push(...begun)
      return begun
    },
    async over(url) {
      await submitMixed(url, model, { count: INTENTS, clients: 8, name: 'M' })
      const log = await wholeLog(platform, model)
      expect(log.length).toBeGreaterThan(INTENTS)
      for (const follower of followers) await follower.agrees(log)
    },
  }
}

async function killAndRestart(platform: TestPlatform): Promise<void> {
  const exit = once(platform.process, 'exit')
  platform.process.kill('SIGKILL')
  await exit
  await platform.restart()
}

test('two API processes are killed in turn: clients of each, and those that go over, are told of the whole log', {
  timeout: 240_000,
}, async () => {
  await using a = await startPlatform()
  await using b = await startBeside(a)
  using stack = new DisposableStack()
  const fire = await openFire(a, await createModel(a, { kind: 'sales' }), stack)
  let turn = 0
  const either = () => [a, b][turn++ % 2]?.url ?? a.url
  const [ofA] = fire.follow(() => a.url)
  const [ofB] = fire.follow(() => b.url)
  fire.follow(either)
  const over = fire.over(either)
  await Promise.all([ofA?.until(50), ofB?.until(50)])
  await killAndRestart(b)
  await killAndRestart(a)
  await over
  for (const follower of [ofA, ofB]) expect(follower?.connections).toBeGreaterThan(1)
})

test('PostgreSQL loses every connection again and again, and is killed: clients are told of the whole log', {
  timeout: 240_000,
}, async () => {
  await using dir = await makePostgresDir()
  const postgres = await startEmbeddedPostgres({ dir: dir.path, log: () => {} })
  await using stopping = new AsyncDisposableStack()
  stopping.defer(() => postgres.stop())
  await using platform = await startPlatform({ TEATREE_DATABASE_URL: postgres.url })
  using stack = new DisposableStack()
  const model = await createModel(platform, { kind: 'sales' })
  const fire = await openFire({ graphql: platform.graphql, databaseUrl: postgres.url }, model, stack)
  const followers = fire.follow(() => platform.url)
  const over = fire.over(() => platform.url)
  for (const seen of [10, 30, 50, 70]) {
    await followers[0]?.until(seen)
    await query(
      postgres.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teatree%'`,
    )
  }
  process.kill(await dir.postmasterPid(), 'SIGKILL')
  expect(await postgres.revive()).toBe(true)
  await over
  for (const follower of followers) expect(follower.connections, 'a subscription outlives its database').toBe(1)
})

test('a process that no notice reaches finds by itself what has ended, changed, and become of models', {
  timeout: 120_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const listening = new WeakSet<object>()
  let isDeaf = false
  let databaseUrl = ''
  const through = async (direct: string) => {
    databaseUrl = direct
    const proxy = await startTcpProxy(direct, (side, chunk, exchange) => {
      // What is sent to who listens from here on would be notices.
      if (side === 'up' && chunk.includes('LISTEN teatree')) listening.add(exchange)
      if (side === 'up' || !listening.has(exchange) || chunk.includes('LISTEN')) return 'pass'
      isDeaf = true
      return 'swallow'
    })
    const url = new URL(direct)
    url.host = new URL(resources.use(proxy).url).host
    return url.href
  }
  const server = resources.use(await openServer({ through, runs: true }))
  const graphql: TestPlatform['graphql'] = async (...asked) => (await server.answer(...asked)).data
  // Its manager hears: one that does not takes up its line late, and nothing would end meanwhile.
  const db = new Database({ url: databaseUrl, name: 'manager', connections: 4, onError: () => {} })
  resources.defer(() => db.close())
  const { id: model } = await server.models.create({ kind: 'sales' })
  const manager = server.startManager({ db })
  resources.defer(() => manager.close())
  await manager.hold(model)
  using stack = new DisposableStack()
  const fire = await openFire({ graphql, databaseUrl }, model, stack)
  fire.follow(() => server.url)
  const { services } = server
  const left = new AbortController()
  stack.defer(() => left.abort())
  const models = services.modelChanges.follow({ filter: { ids: [model] }, intervalMs: 0 }, left.signal)
  await models.next()
  await fire.over(() => server.url)
  for (let version = 0; version === 0; ) version = (await models.next()).value?.models[0]?.version ?? 0
  const append = { model, function: 'appendSales', arguments: { rows: [sale({ orderId: 'LAST' })] } }
  const life: string[] = []
  for await (const { intent } of services.completions.intents.follow(
    await services.submitter.submit(append),
    left.signal,
  ))
    life.push(intent.status)
  expect(life.at(-1)).toBe('PUBLISHED')
  expect(isDeaf).toBe(true)
})
