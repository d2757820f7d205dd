import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel, importTable } from '../support/sales-model.ts'

const WAIT = { timeout: 60_000, interval: 200 }

const SALES = `version lastSeq publishedAt cursor
  sales(first: 1000) { totalCount nodes { orderId line date siteId amount quantity salespersonId } }
  sites(first: 1000) { nodes { siteId name region } }`
const GOALS = `version lastSeq publishedAt
  goals(first: 1000) { nodes { period siteId basisAmount goalAmount locked } }
  actuals(first: 1000) { nodes { period siteId amount } }
  attainment(by: [SITE]) { nodes { siteId goalAmount actualAmount ratio } }`

/** What a client sees of the models at their newest versions, and of the version that is pinned. */
const seen = (platform: TestPlatform, ids: Record<'north' | 'south' | 'goals' | 'plan', string>): Promise<Answer> =>
  platform.graphql(
    `query ($north: ID!, $south: ID!, $goals: ID!, $plan: ID!) {
      north: salesModel(id: $north) { version snapshot(waitMs: 60000) { ${SALES} }
        pinned: snapshot(at: { version: 2 }, waitMs: 60000) { labels ${SALES} } }
      south: salesModel(id: $south) { version snapshot(waitMs: 60000) { ${SALES} } }
      goals: goalsModel(id: $goals) { version snapshot(waitMs: 60000) { ${GOALS} } }
      plan: salesModel(id: $plan) { version snapshot(waitMs: 60000) { ${SALES} } }
    }`,
    ids,
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
  const [north, south] = [
    await createModel(platform, { kind: 'sales' }),
    await createModel(platform, { kind: 'sales' }),
  ]
  const goals = await createModel(platform, { kind: 'goals', reads: [north] })
  const imported = async (model: string, table: string, csv: string, mode = 'APPEND') => {
    const intent = await importTable(platform, model, table, await platform.upload(csv), { mode })
    expect(intent).toMatchObject({ status: 'PUBLISHED' })
  }
  await imported(north, 'Sites', 'siteId,name,region\nS1,Süd,\nS2,Nord,N\n')
  await appendSales(platform, north, [
    { orderId: 'A', siteId: 'S1', amount: '100.10' },
    { orderId: 'B', siteId: 'S2', amount: '300.33', salespersonId: null },
  ])
  await platform.graphql(
    'mutation ($model: ID!) { pinSnapshot(model: $model, version: 2, label: "audit") { version } }',
    {
      model: north,
    },
  )
  const plan = await createModel(platform, { kind: 'sales', from: { model: north } })
  await imported(south, 'Sites', 'siteId,name,region\nS7,Erster,\n')
  await computeGoals(platform, goals, { salesModel: north, total: '1000' })
  const managers = async (): Promise<Answer[]> => {
    const { models } = await platform.graphql('{ models { nodes { id manager { queued archiveLag } } } }')
    return models.nodes.map(({ manager }: Answer) => manager)
  }
  const quiet = () => vi.waitUntil(async () => (await managers()).every(({ queued }) => queued === 0), WAIT)
  const archived = () =>
    vi.waitUntil(async () => (await managers()).every(({ queued, archiveLag }) => queued + archiveLag === 0), WAIT)
  await archived()
  const ids = { north, south, goals, plan }
  expect((await lag(platform)).sort()).toEqual(
    Object.values(ids)
      .map(id => `${id} 0`)
      .sort(),
  )
  // Behind the archives, which rest from the last one; the pinned version is not among the newest by now.
  for (const orderId of ['C', 'D', 'E', 'F']) await appendSales(platform, north, [{ orderId, date: '2025-02-01' }])
  await imported(south, 'Sites', 'siteId,name,region\nS8,Zweiter,S\nS9,Dritter,\n', 'REPLACE')
  await imported(
    plan,
    'Sales',
    'orderId,line,date,siteId,productId,customerId,quantity,amount\nP,1,2024-07-01,S1,T1,C1,1,7.25\n',
  )
  await quiet()
  const before = await seen(platform, ids)
  expect(before).toMatchObject({
    north: { version: 6, pinned: { version: 2, labels: ['audit'], sales: { totalCount: '2' } } },
    south: { snapshot: { sites: { nodes: [{ siteId: 'S8' }, { siteId: 'S9' }] } } },
    plan: { snapshot: { sales: { totalCount: '3' } } },
  })

  await platform.restart(() => rm(join(platform.dir, 'data'), { recursive: true }))
  expect(await seen(platform, ids)).toEqual(before)
  for (const model of [north, south, plan])
    expect(await appendSales(platform, model, [{ orderId: 'G', date: '2025-03-01' }])).toMatchObject({
      status: 'PUBLISHED',
    })
  expect(await computeGoals(platform, goals, { salesModel: north, total: '2000' })).toMatchObject({
    status: 'PUBLISHED',
    outcome: { salesVersion: before.north.version + 1 },
  })
  await archived()
})
