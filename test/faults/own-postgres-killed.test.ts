import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openHome } from '../../src/platform/embedded-postgres/home.ts'
import { findPostmaster } from '../../src/platform/embedded-postgres/postmaster.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, createModel } from '../support/sales-model.ts'

/** kill -9 of the platform's own PostgreSQL. */
async function killPostgres(platform: TestPlatform): Promise<number> {
  const home = await openHome(join(platform.dir, 'data', 'postgres'), () => {})
  const postmaster = await findPostmaster(join(home.path, 'cluster', 'data'))
  if (!postmaster) throw new Error('the platform has no PostgreSQL of its own')
  process.kill(postmaster.pid, 'SIGKILL')
  return postmaster.pid
}

const ownDatabase = { TEATREE_DATABASE_URL: '' }

let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform(ownDatabase)
})
afterAll(() => platform[Symbol.asyncDispose]())

test('its own PostgreSQL is killed again and again: the platform starts it where it was, and goes on', {
  timeout: 120_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  const events = platform.subscribe('subscription ($id: ID!) { completions(model: $id) { snapshot { version } } }', {
    id: model,
  })
  const toldOf = async (version: number) => {
    while ((await events.next()).value.completions.snapshot.version !== version);
  }
  await toldOf(0)
  await appendSales(platform, model, [{ orderId: 'BEFORE' }])
  for (const orderId of ['AFTER-1', 'AFTER-2']) {
    await killPostgres(platform)
    // An append that was lost with the server says so; the key makes it one, however often it is asked for.
    const published = await vi.waitFor(() => appendSales(platform, model, [{ orderId }], { idempotencyKey: orderId }), {
      timeout: 40_000,
      interval: 100,
    })
    expect(published).toMatchObject({ status: 'PUBLISHED' })
    await toldOf(published.version)
  }
  const { salesModel } = await platform.graphql(
    'query ($id: ID!) { salesModel(id: $id) { snapshot { sales { nodes { orderId } } } } }',
    { id: model },
  )
  const orders = salesModel.snapshot.sales.nodes.map(({ orderId }: { orderId: string }) => orderId)
  expect(orders).toEqual(['AFTER-1', 'AFTER-2', 'BEFORE'])
  await events.return?.()
})

test('a platform that wakes up to find its data served by another one ends, and harms nothing', {
  timeout: 120_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'A' }])
  platform.process.kill('SIGSTOP')
  await killPostgres(platform)
  await using second = await startPlatform({ ...ownDatabase, TEATREE_DATA_DIR: join(platform.dir, 'data') })
  const exit = once(platform.process, 'exit')
  platform.process.kill('SIGCONT')
  expect(await exit).toEqual([1, null])
  expect(platform.log.at(-1)).toMatch(/another teatree serve runs on/)
  expect(await appendSales(second, model, [{ orderId: 'B' }])).toMatchObject({ status: 'PUBLISHED', version: 2 })
})
