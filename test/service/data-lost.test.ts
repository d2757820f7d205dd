import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel, importTable } from '../support/sales-model.ts'

const WAIT = { timeout: 60_000, interval: 200 }

/** What a client sees of both models at their newest versions. */
const seen = (platform: TestPlatform, sales: string, goals: string): Promise<Answer> =>
  platform.graphql(
    `query ($sales: ID!, $goals: ID!) {
      salesModel(id: $sales) { version snapshot(waitMs: 60000) { version lastSeq publishedAt cursor
        sales(first: 1000) { totalCount nodes { orderId line date siteId amount quantity salespersonId } }
        sites(first: 1000) { nodes { siteId name region } } } }
      goalsModel(id: $goals) { version snapshot(waitMs: 60000) { version lastSeq publishedAt
        goals(first: 1000) { nodes { period siteId basisAmount goalAmount locked } }
        actuals(first: 1000) { nodes { period siteId amount } }
        attainment(by: [SITE]) { nodes { siteId goalAmount actualAmount ratio } } } }
    }`,
    { sales, goals },
  )

const lag = async (platform: TestPlatform): Promise<string[]> => {
  const text = await (await fetch(`${platform.url}/metrics`)).text()
  return [...text.matchAll(/^teatree_archive_lag\w*\{.*model="([^"]+)".*\} (\d+)$/gm)].map(
    ([, model, lag]) => `${model} ${lag}`,
  )
}

test('a stopped platform whose data directory was deleted serves every model again, and takes the next intents', {
  timeout: 180_000,
}, async () => {
  await using platform = await startPlatform()
  const sales = await createModel(platform, { kind: 'sales' })
  const goals = await createModel(platform, { kind: 'goals', reads: [sales] })
  await importTable(platform, sales, 'Sites', await platform.upload('siteId,name,region\nS1,Süd,\nS2,Nord,N\n'))
  await appendSales(platform, sales, [
    { orderId: 'A', siteId: 'S1', amount: '100.10' },
    { orderId: 'B', siteId: 'S2', amount: '300.33', salespersonId: null },
  ])
  await computeGoals(platform, goals, { salesModel: sales, total: '1000' })
  const managers = async (): Promise<Answer[]> => {
    const { models } = await platform.graphql('{ models { nodes { id manager { queued archiveLag } } } }')
    return models.nodes.map(({ manager }: Answer) => manager)
  }
  const quiet = () => vi.waitUntil(async () => (await managers()).every(({ queued }) => queued === 0), WAIT)
  const archived = () =>
    vi.waitUntil(async () => (await managers()).every(({ queued, archiveLag }) => queued + archiveLag === 0), WAIT)
  await archived()
  expect((await lag(platform)).sort()).toEqual([`${goals} 0`, `${sales} 0`].sort())
  // Behind the archive: it rests from the last one.
  for (const orderId of ['C', 'D', 'E', 'F']) await appendSales(platform, sales, [{ orderId, date: '2025-02-01' }])
  await quiet()
  const before = await seen(platform, sales, goals)

  await platform.restart(() => rm(join(platform.dir, 'data'), { recursive: true }))
  expect(await seen(platform, sales, goals)).toEqual(before)
  expect(await appendSales(platform, sales, [{ orderId: 'G', date: '2025-03-01' }])).toMatchObject({
    status: 'PUBLISHED',
    version: before.salesModel.version + 1,
  })
  expect(await computeGoals(platform, goals, { salesModel: sales, total: '2000' })).toMatchObject({
    status: 'PUBLISHED',
    outcome: { salesVersion: before.salesModel.version + 1 },
  })
  await archived()
})
