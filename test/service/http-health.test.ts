import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Answer, openServer, send } from '../support/http-server.ts'
import { startPlatform } from '../support/platform.ts'
import { createDatabase } from '../support/postgres.ts'
import { createModel } from '../support/sales-model.ts'
import { startTcpProxy, type Verdict } from '../support/tcp-proxy.ts'

const health = async (url: string): Promise<{ status: number; body: Answer }> => {
  const answer = await send(`${url}/health/ready`)
  return { status: answer.status, body: answer.json() }
}
/** Asks until the answer has this status. */
async function until(url: string, status: number): Promise<Answer> {
  for (; ; await wait(20)) {
    const answer = await health(url)
    if (answer.status === status) return answer.body
  }
}

test('a blocked model makes it unready, by name, and old versions are served meanwhile', async () => {
  await using server = await openServer()
  const model = await server.salesModel(['upsertSites', { rows: [{ siteId: 'S', name: 'S' }] }])
  expect(await health(server.url)).toEqual({ status: 200, body: { status: 'ready' } })
  const blocked = { code: 'UNAVAILABLE', message: 'The disk is full.', cells: [], details: null }
  await server.db.query('UPDATE goal_model SET blocked = $2 WHERE id = $1', [model, JSON.stringify(blocked)])
  const { status, body } = await health(server.url)
  expect(status).toBe(503)
  expect(body.error).toEqual({ code: 'UNAVAILABLE', message: `${model}: The disk is full.` })
  expect(body.failing).toEqual([
    { what: 'model', model, code: 'UNAVAILABLE', message: 'The disk is full.', retryAt: null },
  ])
  expect((await send(`${server.url}/health/live`)).status).toBe(200)
  expect((await send(`${server.url}/content/${model}/1/sites.csv`)).status).toBe(200)
})

test('work that waits long in a model without a manager makes it unready, by name', async () => {
  await using server = await openServer()
  const { id: model } = await server.models.create({ kind: 'sales' })
  await server.submitter.submit({ model, function: 'upsertSites', arguments: { rows: [{ siteId: 'S', name: 'S' }] } })
  expect(await health(server.url)).toEqual({ status: 200, body: { status: 'ready' } })
  await server.db.query(`UPDATE intent SET submitted_at = now() - interval '2 minutes' WHERE model = $1`, [model])
  const lease = (ends: string) =>
    server.db.query(
      `INSERT INTO model_lease (model, owner, epoch, expires_at) VALUES ($1, gen_random_uuid(), 1, now() + $2::interval)
       ON CONFLICT (model) DO UPDATE SET expires_at = excluded.expires_at`,
      [model, ends],
    )
  const unready = { status: 503, body: { failing: [{ what: 'model', model, code: 'UNAVAILABLE' }] } }
  expect(await health(server.url)).toMatchObject(unready)
  await lease('10 seconds')
  expect(await health(server.url)).toMatchObject({ status: 200 })
  // Its manager is just being replaced.
  await lease('-10 seconds')
  expect(await health(server.url)).toMatchObject({ status: 200 })
  await lease('-2 minutes')
  expect(await health(server.url)).toMatchObject(unready)
})

test('a manager that cannot be started makes it unready, with the reason, until one can', {
  timeout: 240_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-kinds-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(dir, { recursive: true }))
  const platform = stack.use(await startPlatform({ TEATREE_KINDS: dir }))
  const model = await createModel(platform, { kind: 'sales' })
  // What the server has read once, its managers cannot.
  await writeFile(join(dir, 'broken.ts'), 'export default')
  await platform.graphql(`mutation { upsertSites(model: "${model}", rows: [{ siteId: "S", name: "S" }]) { id } }`)
  const { failing } = await until(platform.url, 503)
  expect(failing).toMatchObject([
    { what: 'manager', code: 'UNAVAILABLE', message: expect.stringContaining('exit code 1 before it came up') },
  ])
  await rm(join(dir, 'broken.ts'))
  expect(await until(platform.url, 200)).toEqual({ status: 'ready' })
})

test('a store that cannot be written to makes it unready until it can', async () => {
  await using server = await openServer()
  const store = join(server.dataDir, 'store')
  await writeFile(join(server.dataDir, 'away'), '')
  await rename(join(server.dataDir, 'away'), store)
  const { status, body } = await health(server.url)
  expect(status).toBe(503)
  expect(body.failing).toMatchObject([{ what: 'store', code: 'UNAVAILABLE' }])
  expect(JSON.stringify(body)).not.toContain(server.dataDir)
  await rename(store, join(server.dataDir, 'away'))
  expect(await until(server.url, 200)).toEqual({ status: 'ready' })
})

test('a database that is away makes it unready, and is noticed when it is back', async () => {
  await using database = await createDatabase()
  let verdict: Verdict = 'pass'
  await using proxy = await startTcpProxy(database.url, () => verdict)
  const url = new URL(database.url)
  url.host = new URL(proxy.url).host
  await using platform = await startPlatform({ TEATREE_DATABASE_URL: url.href })
  expect((await health(platform.url)).status).toBe(200)
  verdict = 'cut'
  const body = await until(platform.url, 503)
  expect(body.failing).toMatchObject([{ what: 'database', code: 'UNAVAILABLE' }])
  expect((await send(`${platform.url}/health/live`)).status).toBe(200)
  const { errors } = await platform.answer('{ models { totalCount } }')
  expect(errors?.[0].extensions.code).toBe('UNAVAILABLE')
  verdict = 'pass'
  await until(platform.url, 200)
})

test('metrics tell of requests by route, and of lines and archives by model', async () => {
  await using server = await openServer()
  const { id } = await server.models.create({ kind: 'sales' })
  const rows = [{ siteId: 'S', name: 'S' }]
  for (let count = 0; count < 3; count++)
    await server.submitter.submit({ model: id, function: 'upsertSites', arguments: { rows } })
  await server.answer('{ kinds { name } }')
  await send(`${server.url}/content/${id}/0/sites.csv`)
  await send(`${server.url}/made/up`)
  const answer = await send(`${server.url}/metrics`)
  expect(answer.headers['content-type']).toContain('text/plain')
  const lines = answer.body.toString().split('\n')
  expect(lines).toContain(`teatree_intents_queued{process="serve",model="${id}"} 3`)
  expect(lines).toContain(`teatree_archive_lag{process="serve",model="${id}"} 0`)
  const requests = lines.filter(line => line.startsWith('http_server_request_duration_seconds_count'))
  for (const [method, route, status] of [
    ['POST', '/graphql', 200],
    ['GET', '/content/:model/:version/:file', 200],
    ['GET', 'none', 404],
  ])
    expect(
      requests.some(
        line =>
          line.includes(`method="${method}"`) && line.includes(`route="${route}"`) && line.includes(`"${status}"`),
      ),
    ).toBe(true)
})
