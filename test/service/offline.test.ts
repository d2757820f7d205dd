import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { pull } from '../../src/commands/pull.ts'
import { ALL } from '../../src/engine/plan.ts'
import { OfflineSnapshots } from '../../src/jobs/offline/offline-snapshots.ts'
import { PulledFolder } from '../../src/jobs/offline/pulled-folder.ts'
import { pinVersion } from '../../src/jobs/pins.ts'
import { quiet } from '../support/control.ts'
import { type Answer, openServer, send, type TestServer } from '../support/http-server.ts'
import { environment, PROGRAM } from '../support/manager-process.ts'
import { sale } from '../support/sales-model.ts'

let online: TestServer
let dir: string
let offline: { url: string; child: ChildProcess }
let sales: string
let goals: string
/** Versions of the sales model that were pulled. */
const FIRST = 2
const SECOND = 3

beforeAll(async () => {
  online = await openServer()
  dir = await mkdtemp(join(tmpdir(), 'teatree-offline-'))
  const rows = Array.from({ length: 400 }, (_, order) =>
    sale({ orderId: `O${order}`, date: `2024-0${1 + (order % 9)}-15`, siteId: `S${order % 3}`, amount: `${order}.25` }),
  )
  sales = await online.salesModel(
    ['upsertSites', { rows: [1, 2].map(n => ({ siteId: `S${n}`, name: `Site ${n}`, region: null, country: 'CH' })) }],
    ['appendSales', { rows }],
    ['updateSales', { where: { siteId: { eq: 'S2' } }, set: { amount: '7.50' } }],
  )
  goals = (await online.models.create({ kind: 'goals', engine: 'ARROW', reads: [sales], name: 'Plan 100%' })).id
  await online.startManager().hold(goals)
  const computed = await online.run(goals, 'computeGoals', {
    salesModel: sales,
    basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
    goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
    grain: ['SITE'],
  })
  expect(computed.error).toBeNull()
  await pinVersion(online.db, sales, FIRST, 'audit')
  for (const spec of [`${sales}@${FIRST}`, sales, goals]) await bring(spec)
  offline = await serveOffline()
})
afterAll(async () => {
  await stopped()
  await rm(dir, { recursive: true, force: true })
  await online[Symbol.asyncDispose]()
})

const { signal } = new AbortController()
const bring = (spec: string) => pull(spec, { url: `${online.url}/graphql`, to: dir, signal })

async function serveOffline(): Promise<{ url: string; child: ChildProcess }> {
  // A database that is not there: nobody may look for it.
  const env = environment({ PORT: '0', TEATREE_DATABASE_URL: 'postgres://127.0.0.1:1/none' })
  const child = spawn(process.execPath, [PROGRAM, 'serve', '--offline', dir], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /(http:\/\/\S+)\/graphql/.exec(line)?.[1]
    if (url) return { child, url }
  }
  throw new Error('it did not start')
}

async function stopped(): Promise<number | null> {
  const { child } = offline
  if (child.exitCode !== null) return child.exitCode
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  return (await exit)[0]
}

async function ask(url: string, query: string, variables = {}): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const { body } = await send(`${url}/graphql`, { method: 'POST', headers }, JSON.stringify({ query, variables }))
  // Each tells of itself in its links.
  // Each server signs its own links.
  return JSON.parse(
    body
      .toString()
      .replaceAll(url, 'http://here')
      .replaceAll(/\?expires=\d+&signature=[\w-]{16}/g, ''),
  )
}
/** What both answer with, but for the cursors of edges: one signs them, and the other cannot. */
const both = (query: string, variables = {}) =>
  Promise.all(
    [online.url, offline.url].map(async url =>
      JSON.parse(
        JSON.stringify(await ask(url, query, variables), (name, value) =>
          /^(start|end)Cursor$/.test(name) && value !== null ? 'a cursor' : name === 'edges' ? value.length : value,
        ),
      ),
    ),
  )

const AT = `snapshot(at: { version: ${SECOND} })`
const READS: [what: string, query: () => string][] = [
  ['the kinds', () => '{ kinds { name tables { name columns { name type } writes } functions { name } } }'],
  [
    'a model',
    () => `{ model(id: "${sales}") { __typename id name kind { name } engine size createdAt version reads { id } } }`,
  ],
  ['what a model reads', () => `{ goalsModel(id: "${goals}") { name reads { id name version } } }`],
  ['no model', () => '{ model(id: "nobody") { id } salesModel(id: "nobody") { id } }'],
  ['a model by another kind', () => `{ goalsModel(id: "${sales}") { id } }`],
  [
    'all models',
    () => '{ models { totalCount nodes { id } pageInfo { hasNextPage endCursor startCursor } edges { cursor } } }',
  ],
  ['models by name', () => String.raw`{ models(where: { nameLike: "%100\\%" }) { totalCount nodes { id name } } }`],
  [
    'models of a kind',
    () => '{ models(where: { kind: "sales", engine: DUCKDB }, last: 1) { totalCount nodes { id } } }',
  ],
  [
    'a snapshot',
    () =>
      `{ model(id: "${sales}") { snapshot { __typename id version publishedAt lastSeq cursor labels model { id }
         tables { name rows columns { name type nullable } url(format: CSV) } } } }`,
  ],
  ['labels', () => `{ model(id: "${sales}") { snapshot(at: { version: ${FIRST} }) { labels } } }`],
  [
    'a version that is not there yet',
    () => `{ model(id: "${sales}") { snapshot(at: { version: 99 }, waitMs: 0) { version } } }`,
  ],
  [
    'rows, in pages',
    () =>
      `{ salesModel(id: "${sales}") { ${AT} { sales(first: 7, orderBy: [{ column: amount, direction: DESC }], where: { site: { country: { eq: "CH" } } }) {
         totalCount nodes { orderId date amount site { name } } pageInfo { endCursor hasNextPage } edges { cursor } } } } }`,
  ],
  [
    'a row by its key',
    () =>
      `{ salesModel(id: "${sales}") { ${AT} { sale(orderId: "O5", line: 1) { amount site { name } } site(siteId: "S9") { name } } } }`,
  ],
  [
    'groups',
    () =>
      `{ salesModel(id: "${sales}") { ${AT} { salesAggregate(groupBy: [{ column: date, bucket: MONTH }, { column: siteId }], having: [{ measure: COUNT, is: { gt: "10" } }]) {
         totalCount nodes { group { date siteId site { name } } count sum { amount } avg { amount } min { date } countDistinct { orderId } } } } } }`,
  ],
  [
    'what changed between two versions',
    () =>
      `{ salesModel(id: "${sales}") { ${AT} { salesDiff(from: { version: ${FIRST} }, first: 5) {
         nodes { change before { orderId amount } after { orderId amount } } pageInfo { endCursor } } } } }`,
  ],
  [
    'goals and what is reached of them',
    () =>
      `{ goalsModel(id: "${goals}") { snapshot { goals(first: 5) { nodes { period siteId goalAmount locked } }
         attainment(by: [SITE]) { totalCount nodes { siteId goalAmount actualAmount ratio } } } } }`,
  ],
  [
    'what is wrong with a query',
    () => `{ salesModel(id: "${sales}") { ${AT} { sales(first: 0) { nodes { line } } } } }`,
  ],
  [
    'a filter that is none',
    () => `{ salesModel(id: "${sales}") { ${AT} { sales(where: { amount: { eq: null } }) { nodes { line } } } } }`,
  ],
]

describe('offline', () => {
  test.each(READS)('%s as online', async (what, query) => {
    const [there, here] = await both(query())
    if (what === 'a version that is not there yet')
      for (const answer of [there, here]) for (const error of answer.errors) error.message = ''
    expect(here).toEqual(there)
    expect(here.data).toBeDefined()
  })

  test('pages go on with the cursors of online', async () => {
    const page = (after: string) =>
      `{ salesModel(id: "${sales}") { ${AT} { sales(first: 50${after}) { nodes { orderId } pageInfo { endCursor } } } } }`
    const first = (await ask(online.url, page(''))).data.salesModel.snapshot.sales.pageInfo.endCursor
    const [there, here] = await both(page(`, after: "${first}"`))
    expect(here).toEqual(there)
    expect(here.data.salesModel.snapshot.sales.nodes).toHaveLength(50)
  })

  test('SQL is answered as online, page by page', async () => {
    const page = (after: string | null) => [
      `query ($after: String) { salesModel(id: "${sales}") { snapshot(at: { version: ${FIRST} }) {
         sql(statement: "SELECT orderId, amount FROM sales WHERE siteId = $1 ORDER BY orderId", params: ["S2"], first: 100, after: $after) {
           columns { name type } rows pageInfo { hasNextPage endCursor } } } } }`,
      { after },
    ]
    const pages = async (url: string) => {
      const rows: unknown[] = []
      for (let after: string | null = null; ; ) {
        const [query, variables] = page(after) as [string, object]
        const { sql } = (await ask(url, query, variables)).data.salesModel.snapshot
        rows.push(sql.columns, ...sql.rows)
        if (!sql.pageInfo.hasNextPage) return rows
        after = sql.pageInfo.endCursor
      }
    }
    const found = await pages(offline.url)
    expect(found).toHaveLength(133 + 2)
    expect(found).toEqual(await pages(online.url))
    const refused = await ask(
      offline.url,
      `{ salesModel(id: "${sales}") { snapshot { sql(statement: "DROP TABLE sales") { rows } } } }`,
    )
    expect(refused.errors?.[0].extensions.code).toBe('STATEMENT_NOT_ALLOWED')
  })

  test('files and tables are fetched as online', async () => {
    const paths = [
      `/content/${sales}/${SECOND}/sales.csv?columns=orderId,amount`,
      `/content/${sales}/${FIRST}/sites.ndjson`,
      `/content/${sales}/${SECOND}/model.duckdb`,
      `/content/${sales}/${SECOND}/blocks`,
      `/content/${sales}/latest/model.duckdb`,
      `/content/${sales}/99/sites.csv`,
      '/content/nobody/1/sites.csv',
    ]
    for (const path of paths) {
      const [there, here] = await Promise.all([online.url, offline.url].map(url => send(url + path)))
      if (!there || !here) throw new Error('no answers')
      expect([path, here.status, here.headers.etag, here.headers.location]).toEqual([
        path,
        there.status,
        there.headers.etag,
        there.headers.location,
      ])
      expect(here.body.equals(there.body)).toBe(true)
    }
    const range = await send(`${offline.url}/content/${sales}/${SECOND}/model.duckdb`, {
      headers: { range: 'bytes=0-9' },
    })
    expect([range.status, range.body.length]).toEqual([206, 10])
    const parquet = await send(`${offline.url}/content/${sales}/${SECOND}/sales.parquet`)
    expect(parquet.body.subarray(0, 4).toString()).toBe('PAR1')
  })

  test('the index of content has the files that were pulled', async () => {
    const query = `{ model(id: "${sales}") { contentIndex(form: DUCKDB) { nodes { version form url bytes sha256 createdAt } } } }`
    const [there, here] = await both(query)
    const versions = here.data.model.contentIndex.nodes
    expect(versions.map(({ version }: Answer) => version)).toEqual([SECOND, FIRST])
    for (const file of versions) expect(there.data.model.contentIndex.nodes).toContainEqual(file)
  })

  test('versions that can be read are those that were pulled', async () => {
    const query = `{ model(id: "${sales}") { snapshots { nodes { version } } manager { state queued archiveLag } } }`
    expect((await ask(offline.url, query)).data.model).toEqual({
      snapshots: { nodes: [{ version: SECOND }, { version: FIRST }] },
      manager: { state: 'IDLE', queued: 0, archiveLag: 0 },
    })
    const gone = await ask(offline.url, `{ model(id: "${sales}") { snapshot(at: { version: 1 }) { version } } }`)
    expect(gone.errors[0].extensions.code).toBe('SNAPSHOT_GONE')
  })

  test('what would change something, or wait for a change, is refused by name', async () => {
    const refused = [
      'mutation { createModel(input: { kind: "sales" }) { id } }',
      `mutation { deleteModel(id: "${sales}") }`,
      `mutation { appendSales(model: "${sales}", rows: []) { id } }`,
      `mutation { pinSnapshot(model: "${sales}", version: ${SECOND}, label: "x") { version } }`,
      `mutation { cancelIntent(id: "${crypto.randomUUID()}") { id } }`,
      `{ intents { totalCount } }`,
      `{ intent(id: "${crypto.randomUUID()}") { id } }`,
      `{ upload(id: "${crypto.randomUUID()}") { id } }`,
      `{ queryRun(id: "${crypto.randomUUID()}") { id } }`,
      `mutation { startQuery(input: { model: "${sales}", query: { sql: { statement: "SELECT 1" } } }) { id } }`,
      `{ model(id: "${sales}") { intents { nodes { id } } } }`,
      `{ model(id: "${sales}") { snapshot(at: { asOf: "2030-01-01T00:00:00Z" }) { version } } }`,
    ]
    for (const query of refused) {
      const { errors } = await ask(offline.url, query)
      expect([query, errors?.[0].extensions.code]).toEqual([query, 'UNAVAILABLE'])
      expect(errors[0].message).toMatch(/^Offline /)
    }
    const upload = await send(`${offline.url}/uploads`, { method: 'POST' }, 'a,b\n1,2\n')
    expect([upload.status, upload.json().error.code]).toEqual([503, 'UNAVAILABLE'])
  })

  test('subscriptions are refused by name, over WebSockets and as events', async () => {
    const query = 'subscription { modelChanges { id } }'
    const client = createClient({ url: `${offline.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket })
    const codes: unknown[] = []
    try {
      for await (const { errors } of client.iterate({ query })) codes.push(errors?.[0]?.extensions?.code)
    } catch (errors) {
      codes.push((errors as { extensions?: { code?: string } }[])[0]?.extensions?.code)
    }
    expect(codes).toEqual(['UNAVAILABLE'])
    await client.dispose()
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
    const events = await send(`${offline.url}/graphql`, { method: 'POST', headers }, JSON.stringify({ query }))
    expect(events.body.toString()).toContain('UNAVAILABLE')
  })

  test('GraphiQL, health and metrics are there', async () => {
    const page = await send(`${offline.url}/graphql`, { headers: { accept: 'text/html' } })
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    for (const path of ['/health/live', '/health/ready', '/metrics'])
      expect([path, (await send(offline.url + path)).status]).toEqual([path, 200])
  })

  test('what is pulled meanwhile is served next, and the version it replaces is let go', async () => {
    const count = `{ salesModel(id: "${sales}") { version snapshot { version salesAggregate { nodes { count } } } } }`
    const before = (await ask(offline.url, count)).data.salesModel
    const intent = await online.run(sales, 'appendSales', { rows: [sale({ orderId: 'new' })] })
    const snapshots = new OfflineSnapshots({ ...online, folder: new PulledFolder(dir), log: quiet })
    const held = await snapshots.acquire(sales, null, 0)
    await bring(sales)
    const after = (await ask(offline.url, count)).data.salesModel
    expect([before.version, after.version]).toEqual([SECOND, intent.version])
    const counted = (model: Answer) => Number(model.snapshot.salesAggregate.nodes[0].count)
    expect(counted(after)).toBe(counted(before) + 1)
    const gone = await ask(
      offline.url,
      `{ model(id: "${sales}") { snapshot(at: { version: ${SECOND} }) { version } } }`,
    )
    expect(gone.errors[0].extensions.code).toBe('SNAPSHOT_GONE')
    // who was reading reads on what they began with
    expect([held.version.version, Number(await held.reader.count('sales', ALL))]).toEqual([SECOND, counted(before)])
    held.release()
    await snapshots.close()
  })

  test('a file beside it that is none of ours does no harm', async () => {
    await writeFile(join(dir, sales, '77.json'), '{"format":1}')
    await writeFile(join(dir, 'notes.txt'), 'mine')
    const { data, errors } = await ask(offline.url, '{ models { nodes { id } } }')
    expect(errors).toBeUndefined()
    expect(data.models.nodes.map(({ id }: Answer) => id).sort()).toEqual([sales, goals].sort())
  })

  test('a folder that went away makes it unready, and SIGTERM ends it with 0', async () => {
    await rm(dir, { recursive: true })
    const ready = await send(`${offline.url}/health/ready`)
    expect([ready.status, ready.json().failing[0].what]).toEqual([503, 'files'])
    expect(await stopped()).toBe(0)
  })
})
