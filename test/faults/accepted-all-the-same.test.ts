import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { createControlDatabase } from '../support/postgres.ts'
import { type Exchange, startTcpProxy } from '../support/tcp-proxy.ts'

const stack = new AsyncDisposableStack()
const accepting = new Set<Exchange>()
let isAway = false
/** What was tried while the database was away. */
let inVain = 0
let platform: TestPlatform

beforeAll(async () => {
  const database = stack.use(await createControlDatabase())
  const proxy = stack.use(
    await startTcpProxy(database.url, (side, chunk, exchange) => {
      if (isAway) {
        inVain += 1
        return 'cut'
      }
      if (side === 'up' && chunk.includes('INSERT INTO intent')) accepting.add(exchange)
      // Its answer is the last that comes through.
      isAway = side === 'down' && accepting.has(exchange) && chunk.includes('COMMIT\0')
      return 'pass'
    }),
  )
  const url = new URL(database.url)
  url.host = new URL(proxy.url).host
  platform = stack.use(await startPlatform({ TEATREE_DATABASE_URL: url.href }))
  await platform.graphql('mutation { createModel(input: { id: "m", kind: "sales" }) { id } }')
})
afterAll(() => stack.disposeAsync())

beforeEach(() => {
  inVain = 0
})

const upsert = async (site: string, waitMs: number) => {
  const { data, errors } = await platform.answer(
    `mutation ($rows: [SiteInput!]!, $waitMs: Int!) { upsertSites(model: "m", waitMs: $waitMs, rows: $rows) { id status } }`,
    { rows: [{ siteId: site, name: site }], waitMs },
  )
  expect(errors).toBeUndefined()
  return data.upsertSites
}

const comesBack = () => {
  isAway = false
  accepting.clear()
}

test('who waits for an intent that was accepted is told of it, also where the database is lost until the time is over', async () => {
  const accepted = await upsert('A', 1)
  expect(isAway).toBe(true)
  expect(accepted).toMatchObject({ status: 'QUEUED' })
  // Whoever runs the platform is told what the caller is not.
  const told = () => platform.log.some(line => line.includes(accepted.id) && line.includes('"level":"warn"'))
  await expect.poll(told).toBe(true)
  comesBack()
  const again = async () => (await platform.answer('{ intents { nodes { id status } } }')).data?.intents?.nodes
  await expect.poll(again, { timeout: 60_000 }).toEqual([{ id: accepted.id, status: 'PUBLISHED' }])
})

test('who waits for an intent that was accepted is told of its end, also where the database is lost meanwhile', async () => {
  const ended = upsert('B', 60_000)
  await expect.poll(() => inVain, { timeout: 60_000 }).toBeGreaterThan(20)
  comesBack()
  expect(await ended).toMatchObject({ status: 'PUBLISHED' })
})
