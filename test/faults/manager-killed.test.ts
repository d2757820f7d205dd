import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { comesTrue } from '../support/comes-true.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { query } from '../support/postgres.ts'
import { appendSales, createModel, importTable } from '../support/sales-model.ts'

const ROWS = 250_000
const REST_MS = 20

test('kill -9 of the manager in the middle of an import: it is there exactly once, by itself, and readers see no error', {
  timeout: 180_000,
}, async () => {
  await using platform = await startPlatform()
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'BEFORE' }])
  const upload = await platform.upload(Readable.toWeb(Readable.from(sales())) as NonNullable<RequestInit['body']>)
  let done = false
  const importing = importTable(platform, model, 'Sales', upload).finally(() => {
    done = true
  })
  const reading = readUntil(platform, model, () => done)

  const killed = new Set<number>()
  // In its steps: once as it reads, once as it writes.
  for await (const { intent } of platform.subscribe('subscription ($id: ID!) { intent(id: $id) { status step } }', {
    id: await runningImport(platform, model),
  })) {
    if (intent.status === 'RUNNING' && intent.step !== null && killed.size < 2)
      for (const pid of await managersOf(platform)) {
        if (killed.has(pid) || killed.size === 2) continue
        killed.add(pid)
        process.kill(pid, 'SIGKILL')
        break
      }
    if (intent.status === 'PUBLISHED' || intent.status === 'FAILED') break
  }
  expect(killed.size).toBeGreaterThan(0)
  expect(await importing).toMatchObject({ status: 'PUBLISHED', result: { inserted: String(ROWS) } })
  const counts = await reading
  expect(new Set(counts)).toEqual(new Set(['1', String(ROWS + 1)]))
})

/** Counts rows again and again until told, and once more; an error fails the test. */
async function readUntil(platform: TestPlatform, model: string, done: () => boolean): Promise<string[]> {
  const counts: string[] = []
  for (let last = false; !last; ) {
    last = done()
    const { salesModel } = await platform.graphql(
      'query ($id: ID!) { salesModel(id: $id) { snapshot { salesAggregate { nodes { count } } } } }',
      { id: model },
    )
    counts.push(salesModel.snapshot.salesAggregate.nodes[0].count)
    await wait(REST_MS)
  }
  return counts
}

async function runningImport(platform: TestPlatform, model: string): Promise<string> {
  let found: { id: string }[] = []
  const isThere = async () => {
    found = await query(
      platform.databaseUrl,
      `SELECT id FROM intent WHERE model = '${model}' AND function = 'importSales'`,
    )
    return found.length > 0
  }
  expect(await comesTrue(isThere)).toBe(true)
  return found[0]?.id ?? ''
}

/** Process ids of the platform's managers: those who hold leases are among them. */
async function managersOf(platform: TestPlatform): Promise<number[]> {
  const children = await readFile(`/proc/${platform.process.pid}/task/${platform.process.pid}/children`, 'utf8')
  const pids = children.trim().split(' ').filter(Boolean).map(Number)
  const commands = await Promise.all(
    pids.map(async pid => [pid, await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')] as const),
  )
  return commands.filter(([, command]) => command.includes('manager')).map(([pid]) => pid)
}

function* sales(): Generator<Uint8Array> {
  yield Buffer.from('orderId,line,date,siteId,productId,customerId,salespersonId,quantity,amount\n')
  let text = ''
  for (let row = 0; row < ROWS; row++) {
    const day = String((row % 28) + 1).padStart(2, '0')
    text += `O${row >> 2},${(row & 3) + 1},2024-${String((row % 12) + 1).padStart(2, '0')}-${day},S${row % 10},T${row % 70},C${row % 500},P${row % 40},${(row % 9) + 1},${row % 1000}.${row % 100}\n`
    if (text.length > 1 << 18) {
      yield Buffer.from(text)
      text = ''
    }
  }
  yield Buffer.from(text)
}
