import { expect, test } from 'vitest'
import { startPlatform } from '../support/platform.ts'
import { createControlDatabase } from '../support/postgres.ts'
import { type Exchange, startTcpProxy } from '../support/tcp-proxy.ts'

test('who waits for an intent that was accepted is told of it, also where the database is lost as it is waited for', async () => {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await createControlDatabase())
  const accepting = new Set<Exchange>()
  let isAway = false
  const proxy = stack.use(
    await startTcpProxy(database.url, (side, chunk, exchange) => {
      if (isAway) return 'cut'
      if (side === 'up' && chunk.includes('INSERT INTO intent')) accepting.add(exchange)
      // Its answer is the last that comes through.
      isAway = side === 'down' && accepting.has(exchange) && chunk.includes('COMMIT\0')
      return 'pass'
    }),
  )
  const url = new URL(database.url)
  url.host = new URL(proxy.url).host
  const platform = stack.use(await startPlatform({ TEATREE_DATABASE_URL: url.href }))
  await platform.graphql('mutation { createModel(input: { id: "m", kind: "sales" }) { id } }')
  const { data, errors } = await platform.answer(
    `mutation { upsertSites(model: "m", waitMs: 30000, rows: [{ siteId: "A", name: "a" }]) { id status } }`,
  )
  expect(isAway).toBe(true)
  expect(errors).toBeUndefined()
  expect(data.upsertSites).toMatchObject({ status: 'QUEUED' })
  // Whoever runs the platform is told what the caller is not.
  const told = () => platform.log.some(line => line.includes(data.upsertSites.id) && line.includes('"level":"warn"'))
  await expect.poll(told).toBe(true)
  isAway = false
  accepting.clear()
  const again = async () => (await platform.answer('{ intents { nodes { id status } } }')).data?.intents?.nodes
  await expect.poll(again, { timeout: 60_000 }).toEqual([{ id: data.upsertSites.id, status: 'PUBLISHED' }])
})
