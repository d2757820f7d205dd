import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openServer, type RawAnswer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'
import { onDisk, smallDisk } from '../support/small-disk.ts'

const disk = smallDisk(32)
const KIB = 1024
/** Rows that cannot be compressed. */
const randomRows = (count: number) =>
  Array.from({ length: count }, () => sale({ orderId: randomBytes(60).toString('base64') }))

const stack = new AsyncDisposableStack()
let server: TestServer
let model: string
beforeAll(async () => {
  if (!disk) return
  const store = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-store-')), path => rm(path, { recursive: true }))
  server = stack.use(await openServer({ dataDir: disk.dir, storeUrl: pathToFileURL(store).href, idleMs: 0 }))
  // Version 2 is a base and a WAL.
  model = await server.salesModel(
    ['appendSales', { rows: randomRows(5000) }],
    ['appendSales', { rows: randomRows(500) }],
  )
})
afterAll(() => stack.disposeAsync())

const at = (path: string) => send(`${server.url}/content/${model}/2/${path}`)
const folder = (...names: string[]) => readdir(join(server.dataDir, ...names)).catch(() => [])
const clean = () => folder('models', model, 'clean')
const exported = () => folder('exports')

/** What is answered with ever more room on the disk, until it is enough; `nothing` is looked at after each refusal. */
async function withEverMoreRoom(path: string, step: number, nothing: () => Promise<unknown[]>): Promise<RawAnswer[]> {
  const answers: RawAnswer[] = []
  for (let left = 0; answers.at(-1)?.status !== 200; left += step) {
    const makeRoom = await disk?.fill(left)
    const answer = await at(path)
    answers.push(answer)
    if (answer.status !== 200) {
      const { error } = answer.json()
      expect([answer.status, error.code, error.message]).toEqual([503, 'UNAVAILABLE', 'The disk is full.'])
      expect([left, await nothing()]).toEqual([left, []])
    }
    await makeRoom?.()
  }
  return answers
}

test.skipIf(!disk)(
  onDisk(disk, 'a disk that is full at whichever step of making a file to be fetched is told, and keeps nothing of it'),
  async () => {
    const [base = 0, wal = 0] = await Promise.all(
      ['base.duckdb', 'base.duckdb.wal'].map(async name => {
        const { version, epoch } = await server.snapshots.find(model, { version: 2 }, 0)
        return (await stat(join(server.dataDir, 'models', model, 'versions', `${version}-${epoch}`, name))).size
      }),
    )
    const answers = await withEverMoreRoom('model.duckdb', 64 * KIB, clean)
    // In the middle of the copy of the base, in that of the WAL, and as the WAL is written into the copy.
    expect(answers.length * 64 * KIB).toBeGreaterThan(base + wal + 128 * KIB)
    expect(answers.at(-1)?.body.length).toBeGreaterThan(base)
    const { epoch } = await server.snapshots.find(model, { version: 2 }, 0)
    expect(await clean()).toEqual([`2-${epoch}`])
  },
)

test.skipIf(!disk)(
  onDisk(disk, 'a disk that is full while a table is written to be fetched is told, and keeps nothing of it'),
  async () => {
    const answers = await withEverMoreRoom('sales.parquet', 64 * KIB, exported)
    expect(answers.length).toBeGreaterThan(2)
    expect(answers.at(-1)?.body.subarray(0, 4).toString()).toBe('PAR1')
    // It goes when it has been sent.
    await expect.poll(exported).toEqual([])
  },
)
