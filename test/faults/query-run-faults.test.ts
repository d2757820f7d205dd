import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, createModel } from '../support/sales-model.ts'

const RUN = `id state rowCount error { code message } rows(first: 3) { rows }`
const start = async (platform: TestPlatform, model: string, statement: string, at?: object): Promise<Answer> =>
  (
    await platform.graphql(`mutation ($input: StartQueryInput!) { startQuery(input: $input) { ${RUN} } }`, {
      input: { model, query: { sql: { statement } }, ...(at && { at }) },
    })
  ).startQuery
const look = async (platform: TestPlatform, id: string, waitMs = 0): Promise<Answer> =>
  (
    await platform.graphql(`query ($id: ID!, $waitMs: Int) { queryRun(id: $id, waitMs: $waitMs) { ${RUN} } }`, {
      id,
      waitMs,
    })
  ).queryRun

/** Ids of the platform's processes that run queries, or are ready to. */
async function queryProcesses({ dir }: TestPlatform): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('query-program') && command.includes(dir)) found.push(pid)
  }
  return found
}

/** Processor time that a process has had for itself, in hundredths of a second. */
const ticksOf = async (pid: string) => Number((await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[13])

let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(() => platform[Symbol.asyncDispose]())

test('kill -9 of the platform with runs under way: another takes them up, on the version that they read', {
  timeout: 180_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'A' }, { orderId: 'B' }])
  const { model: before } = await platform.graphql(
    'query ($id: ID!) { model(id: $id) { snapshot { cursor version } } }',
    {
      id: model,
    },
  )
  const slow = 'SELECT (SELECT count(*) FROM sales), count(*) FROM range(200000000) t(i) WHERE hash(i) % 2 = 3'
  const runs = [
    await start(platform, model, slow),
    await start(platform, model, 'SELECT orderId FROM sales ORDER BY 1'),
  ]
  const waiting = await start(platform, model, slow)
  await vi.waitFor(async () => expect((await look(platform, runs[0].id)).state).toBe('RUNNING'), 30_000)
  for (let n = 0; n < 5; n++) await appendSales(platform, model, [{ orderId: `LATER${n}` }])
  platform.process.kill('SIGKILL')
  // They have nobody to work for.
  await vi.waitFor(async () => expect(await queryProcesses(platform)).toEqual([]), 30_000)
  await platform.restart()

  await vi.waitFor(
    async () => {
      for (const { id } of [...runs, waiting]) expect((await look(platform, id, 10_000)).state).toBe('DONE')
    },
    { timeout: 120_000, interval: 100 },
  )
  expect((await look(platform, runs[0].id)).rows.rows).toEqual([['2', '0']])
  expect((await look(platform, runs[1].id)).rows.rows).toEqual([['A'], ['B']])
  // Each is told of once, to whoever goes on from where he was.
  const told: string[] = []
  for await (const { completions } of platform.subscribe(
    `subscription ($id: ID!, $after: String) { completions(model: $id, after: $after) { edges { node { ... on QueryRun { id state } } } } }`,
    { id: model, after: before.snapshot.cursor },
  )) {
    told.push(...completions.edges.flatMap(({ node }: Answer) => node.id ?? []))
    if (told.length >= 3) break
  }
  expect(told.sort()).toEqual([...runs, waiting].map(({ id }) => id).sort())
})

test('while the store is away a run waits with its result, and is DONE when it is back', {
  timeout: 120_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'A' }])
  // Where the store has the model's results, there is no folder to be had.
  const inTheWay = join(platform.dir, 'store', model, 'results')
  await mkdir(dirname(inTheWay), { recursive: true })
  await writeFile(inTheWay, '')
  const { id } = await start(platform, model, 'SELECT orderId FROM sales')
  await vi.waitFor(() => expect(platform.log.join('\n')).toContain('a result is not in the store; tried again'), 30_000)
  expect((await look(platform, id)).state).toBe('RUNNING')
  await rm(inTheWay)
  expect(await look(platform, id, 60_000)).toMatchObject({ state: 'DONE', error: null, rows: { rows: [['A']] } })
})

test('a query process that is killed from outside ends its own run alone, and says why', {
  timeout: 120_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'A' }])
  const forever = 'SELECT count(*) FROM sales, range(1000000000000) t(i) WHERE hash(i) % 7 = 1'
  const before = new Map<string, number>()
  for (const pid of await queryProcesses(platform)) before.set(pid, await ticksOf(pid))
  const { id } = await start(platform, model, forever)
  // The one that works: another may have worked before.
  const pid = await vi.waitFor(async () => {
    for (const found of await queryProcesses(platform))
      if ((await ticksOf(found)) > 50 + (before.get(found) ?? 0)) return Number(found)
    throw new Error('none works yet')
  }, 30_000)
  process.kill(pid, 'SIGKILL')
  expect(await look(platform, id, 30_000)).toMatchObject({ state: 'FAILED', error: { code: 'QUERY_TOO_EXPENSIVE' } })
  const { salesModel } = await platform.graphql(
    'query ($id: ID!) { salesModel(id: $id) { snapshot { sql(statement: "SELECT orderId FROM sales") { rows } sales { totalCount } } } }',
    { id: model },
  )
  expect(salesModel.snapshot).toEqual({ sql: { rows: [['A']] }, sales: { totalCount: '1' } })
  const metrics = await (await fetch(`${platform.url}/metrics`)).text()
  expect(metrics).toMatch(/^teatree_query_duration_seconds_count\{.*how="run",outcome="QUERY_TOO_EXPENSIVE".*\} 1$/m)
  expect(metrics).toMatch(/^teatree_query_duration_seconds_count\{.*how="sql",outcome="DONE".*\} 1$/m)
})
