import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { link, mkdir, open, readdir, readFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBeside, startPlatform, type TestPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'
import { appendSales, createModel, importTable } from '../support/sales-model.ts'

const ROWS = 120_000
const LATER = { timeout: 60_000, interval: 250 }

let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(() => platform[Symbol.asyncDispose]())

/** A model whose version 1 is larger than what lies in sockets and pipes on its way to a client. */
async function largeModel(platform: TestPlatform): Promise<string> {
  const model = await createModel(platform, { kind: 'sales' })
  const lines = Array.from(
    { length: ROWS },
    () => `${randomBytes(64).toString('base64url')},1,2024-01-01,S1,T1,C1,P1,1,1.0000`,
  )
  const header = 'orderId,line,date,siteId,productId,customerId,salespersonId,quantity,amount'
  const id = await platform.upload([header, ...lines].join('\n'))
  expect(await importTable(platform, model, 'Sales', id)).toMatchObject({ status: 'PUBLISHED', version: 1 })
  return model
}

/**
 * A download of which the first part has come, and whose rest is not taken yet. Its connection is its own: one that has
 * carried a whole file has a window that another file fits into.
 */
async function beginDownload({ url }: TestPlatform, path: string) {
  const [response] = (await once(get(`${url}/content/${path}`, { agent: false }), 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}`)
  await once(response, 'readable')
  return {
    /** What came of it, and whether it came to its end. */
    async rest(): Promise<{ bytes: Buffer; isWhole: boolean }> {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of response) chunks.push(chunk)
      } catch {
        // Cut off.
      }
      return { bytes: Buffer.concat(chunks), isWhole: response.complete }
    },
  }
}

const wholeOf = async ({ url }: TestPlatform, path: string) =>
  Buffer.from(await (await fetch(`${url}/content/${path}`)).arrayBuffer())

/** What a manager may do to the files of a version that is gone: they are written over in their place. */
async function namesFor(dir: string, version: string): Promise<string[]> {
  await mkdir(dir)
  return Promise.all(
    (await readdir(version)).map(async name => {
      await link(join(version, name), join(dir, name))
      return join(dir, name)
    }),
  )
}
async function writeOver(path: string): Promise<void> {
  const { length } = await readFile(path)
  const file = await open(path, 'r+')
  await file.write(randomBytes(length), 0, length, 0)
  await file.close()
}

const isKept = async ({ databaseUrl }: TestPlatform, model: string, version: number) => {
  const [row] = await query<{ kept: boolean }>(
    databaseUrl,
    `SELECT kept FROM model_version WHERE model = '${model}' AND version = ${version}`,
  )
  return row?.kept
}

test('an API that was frozen past its leases hands on nothing of a version that was let go and written over', {
  timeout: 180_000,
}, async () => {
  const model = await largeModel(platform)
  const versionDir = join(platform.dir, 'data', 'models', model, 'versions', '1-1')
  const files = await namesFor(join(platform.dir, 'reused'), versionDir)
  const paths = [`${model}/1/model.duckdb`, `${model}/1/sales.csv`]
  const expected = await Promise.all(paths.map(path => wholeOf(platform, path)))
  const downloads = await Promise.all(paths.map(path => beginDownload(platform, path)))
  await using other = await startBeside(platform)

  // While it lives its leases keep what is being downloaded, whatever is published. What changes every row has versions go
  // on from another base: that of version 1 is nobody else's.
  await other.graphql(
    `mutation { updateSales(model: "${model}", where: { line: { gte: 0 } }, set: { quantity: "2" }, waitMs: 60000) { status } }`,
  )
  for (const orderId of ['A', 'B', 'C']) await appendSales(other, model, [{ orderId }])
  await expect.poll(() => isKept(platform, model, 2), LATER).toBe(false)
  expect(await isKept(platform, model, 1)).toBe(true)

  platform.process.kill('SIGSTOP')
  await expect.poll(() => isKept(platform, model, 1), LATER).toBe(false)
  await expect.poll(() => readdir(versionDir).catch(() => null), LATER).toBeNull()
  for (const file of files) await writeOver(file)
  platform.process.kill('SIGCONT')

  for (const [index, download] of downloads.entries()) {
    const { bytes, isWhole } = await download.rest()
    expect(isWhole, paths[index]).toBe(false)
    expect(bytes.equals((expected[index] ?? Buffer.of()).subarray(0, bytes.length)), paths[index]).toBe(true)
  }
  const count = (at: string) =>
    platform.answer(`{ salesModel(id: "${model}") { snapshot${at} { version sales { totalCount } } } }`)
  expect((await count('(at: { version: 1 })')).errors?.[0]?.extensions.code).toBe('SNAPSHOT_GONE')
  expect((await count('')).data.salesModel.snapshot).toEqual({ version: 5, sales: { totalCount: `${ROWS + 3}` } })
})

test('an API that was killed holds nothing for long: what it read goes', { timeout: 120_000 }, async () => {
  const model = await largeModel(platform)
  await beginDownload(platform, `${model}/1/sales.csv`)
  for (const orderId of ['A', 'B', 'C', 'D']) await appendSales(platform, model, [{ orderId }])
  await expect.poll(() => isKept(platform, model, 2), LATER).toBe(false)
  expect(await isKept(platform, model, 1)).toBe(true)
  platform.process.kill('SIGKILL')
  await platform.restart()
  await expect.poll(() => isKept(platform, model, 1), LATER).toBe(false)
  const versions = join(platform.dir, 'data', 'models', model, 'versions')
  await expect.poll(async () => (await readdir(versions)).length, LATER).toBe(3)
  expect(
    await query(platform.databaseUrl, `SELECT FROM version_lease WHERE model = '${model}' AND version < 3`),
  ).toEqual([])
})
