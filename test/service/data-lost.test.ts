import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel, importTable } from '../support/sales-model.ts'

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
  const settled = async () => {
    const { models } = await platform.graphql('{ models { nodes { id manager { queued archiveLag } } } }')
    return models.nodes.every(({ manager }: Answer) => manager.queued === 0 && manager.archiveLag === 0)
  }
  await vi.waitUntil(settled, { timeout: 60_000, interval: 200 })
  expect((await lag(platform)).sort()).toEqual([`${goals} 0`, `${sales} 0`].sort())
  // Behind the archive: it rests from the last one.
  for (const orderId of ['C', 'D', 'E', 'F']) await appendSales(platform, sales, [{ orderId, date: '2025-02-01' }])
  const { salesModel, goalsModel } = await seen(platform, sales, goals)

  await platform.restart(() => rm(join(platform.dir, 'data'), { recursive: true }))
  const again = await seen(platform, sales, goals)
  expect(again.salesModel).toEqual(salesModel)
  if (again.goalsModel.version === goalsModel.version) expect(again.goalsModel).toEqual(goalsModel)
  expect(await appendSales(platform, sales, [{ orderId: 'G', date: '2025-03-01' }])).toMatchObject({
    status: 'PUBLISHED',
    version: salesModel.version + 1,
  })
  expect(await computeGoals(platform, goals, { salesModel: sales, total: '2000' })).toMatchObject({
    status: 'PUBLISHED',
    outcome: { salesVersion: salesModel.version + 1 },
  })
  await vi.waitUntil(settled, { timeout: 60_000, interval: 200 })
})
