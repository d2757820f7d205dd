import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, test } from 'vitest'
import { RESELLER_SALES } from '../support/adventureworks.ts'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { computeGoals, createModel, importTable } from '../support/sales-model.ts'

const folder = process.env.TEATREE_TEST_DATA && `${process.env.TEATREE_TEST_DATA}/adventureworks`
const FILES: readonly [table: string, file: string, columns: Record<string, string>][] = [
  [
    'Sites',
    'territories.parquet',
    {
      siteId: 'SalesTerritoryKey',
      name: 'SalesTerritoryRegion',
      region: 'SalesTerritoryGroup',
      country: 'SalesTerritoryCountry',
    },
  ],
  ['Products', 'products.parquet', { productId: 'ProductKey', name: 'EnglishProductName' }],
  ['Customers', 'resellers.parquet', { customerId: 'ResellerKey', name: 'ResellerName' }],
  ['Salespersons', 'salespersons.csv', { salespersonId: 'EmployeeKey', name: 'FullName', siteId: 'SalesTerritoryKey' }],
  ['Sales', 'reseller-sales.parquet', RESELLER_SALES],
]

test.skipIf(!folder)(
  'AdventureWorks, from files to goals to subscribers (skipped where TEATREE_TEST_DATA is not set)',
  { timeout: 180_000 },
  async () => {
    await using platform = await startPlatform()
    const sales = await createModel(platform, { kind: 'sales' })
    const goals = await createModel(platform, { kind: 'goals', reads: [sales] })
    const salesLog = followLog(platform, sales, 5)
    const goalsLog = followLog(platform, goals, 2)
    await Promise.all([salesLog.subscribed, goalsLog.subscribed])

    for (const [table, file, columns] of FILES) {
      const upload = await platform.upload(
        Readable.toWeb(createReadStream(join(folder ?? '', file))) as NonNullable<RequestInit['body']>,
      )
      expect(await importTable(platform, sales, table, upload, { columns })).toMatchObject({
        status: 'PUBLISHED',
        error: null,
      })
    }

    const { salesModel } = await platform.graphql(
      `query ($id: ID!) { salesModel(id: $id) { snapshot { version
       salesAggregate { nodes { count sum { amount } countDistinct { salespersonId customerId } } }
       tables { name rows } } } }`,
      { id: sales },
    )
    expect(salesModel.snapshot.salesAggregate.nodes).toEqual([
      { count: '60855', sum: { amount: '80450596.9823' }, countDistinct: { salespersonId: '17', customerId: '635' } },
    ])

    const computed = await computeGoals(platform, goals, {
      salesModel: sales,
      basisPeriod: { from: '2012-01-01', to: '2013-01-01' },
      goalPeriod: { from: '2013-01-01', to: '2014-01-01' },
      interval: 'QUARTER',
      grain: ['SALESPERSON'],
      total: '40000000',
    })
    expect(computed).toMatchObject({
      status: 'PUBLISHED',
      outcome: { total: '40000000.00', salesVersion: salesModel.snapshot.version },
    })
    const { goalsModel } = await platform.graphql(
      `query ($id: ID!) { goalsModel(id: $id) { snapshot {
       goalsAggregate { nodes { count sum { goalAmount } } } attainment { nodes { goalAmount actualAmount } } } } }`,
      { id: goals },
    )
    expect(goalsModel.snapshot.goalsAggregate.nodes).toEqual([
      { count: computed.outcome.cells, sum: { goalAmount: '40000000.00' } },
    ])
    expect(goalsModel.snapshot.attainment.nodes[0].goalAmount).toBe('40000000.00')
    expect(Number(goalsModel.snapshot.attainment.nodes[0].actualAmount)).toBeGreaterThan(0)

    expect(await salesLog.functions).toEqual(FILES.map(([table]) => `import${table}`))
    expect((await goalsLog.functions).at(-1)).toBe('computeGoals')
    await archiveEqualsSnapshot(platform, sales)
  },
)

/** What a client on a WebSocket, subscribed before anything was asked for, hears of a model's log, up to `count` completions or more. */
function followLog(platform: TestPlatform, model: string, count: number) {
  const subscribed = Promise.withResolvers<void>()
  const functions = (async () => {
    const heard: { seq: number; function: string; source: boolean }[] = []
    for await (const { completions } of platform.subscribe(
      'subscription ($m: ID!) { completions(model: $m) { edges { node { ... on Intent { seq function } } } } }',
      { m: model },
    )) {
      subscribed.resolve()
      heard.push(
        ...completions.edges.map((edge: Answer) => ({ seq: Number(edge.node.seq), function: edge.node.function })),
      )
      if (
        heard.filter(each => each.function !== 'refreshActuals').length >= count ||
        heard.at(-1)?.function === 'computeGoals'
      )
        break
    }
    expect(heard.map(each => each.seq)).toEqual(heard.map((_, index) => index + 1))
    return heard.map(each => each.function)
  })()
  return { subscribed: subscribed.promise, functions }
}

/** Reads the Parquet of the newest version back from the store and holds it against the snapshot, row by row. */
async function archiveEqualsSnapshot(platform: TestPlatform, model: string): Promise<void> {
  // First that it is archived, then what is: the fields of one query are not of one moment.
  const lag = 'query ($id: ID!) { model(id: $id) { manager { archiveLag } } }'
  while ((await platform.graphql(lag, { id: model })).model.manager.archiveLag > 0);
  const content = `query ($id: ID!) { model(id: $id) { version contentIndex(first: 100) { nodes { version form table uri rows sha256 } } } }`
  const state: Answer = (await platform.graphql(content, { id: model })).model
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const path = (uri: string) => decodeURIComponent(new URL(uri).pathname)
  const of = (form: string) =>
    state.contentIndex.nodes.filter((each: Answer) => each.form === form && each.version === state.version)
  const [file] = of('DUCKDB')
  await connection.run(`ATTACH '${path(file.uri)}' AS snapshot (READ_ONLY)`)
  const tables = of('PARQUET')
  expect(tables).toHaveLength(5)
  for (const { table, uri, rows } of tables) {
    const archived = `SELECT * FROM read_parquet('${path(uri)}')`
    const served = `SELECT * FROM snapshot.main."${table}"`
    const differ = await connection.runAndReadAll(
      `SELECT (SELECT count(*) FROM (${archived})) AS n, (SELECT count(*) FROM (${archived} EXCEPT ALL ${served})) + (SELECT count(*) FROM (${served} EXCEPT ALL ${archived})) AS d`,
    )
    expect(differ.getRowObjectsJson()).toEqual([{ n: rows, d: '0' }])
  }
  connection.closeSync()
  instance.closeSync()
  // Tables that have not changed lie in the folders of earlier versions.
  const folder = join(path(tables[0].uri), '../..', `${state.version}`)
  const [name = ''] = (await readdir(folder)).filter(name => name.startsWith('manifest'))
  const manifest = JSON.parse(await readFile(join(folder, name), 'utf8'))
  const known = (all: Answer[]) => all.map(({ table, rows, sha256 }) => [table, String(rows), sha256]).sort()
  expect([manifest.model, manifest.version]).toEqual([model, state.version])
  expect(known(manifest.tables)).toEqual(known(tables))
}
