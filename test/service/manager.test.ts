import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { ALL } from '../../src/engine/plan.ts'
import { Pace } from '../../src/jobs/pace.ts'
import type { SnapshotAt } from '../../src/jobs/snapshots.ts'
import { comesTrue } from '../support/comes-true.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { unheard } from '../support/unheard.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged()
})
afterAll(() => managed[Symbol.asyncDispose]())

async function ordersOf(model: string, at: SnapshotAt | null = null): Promise<unknown[]> {
  const snapshot = await managed.snapshots.acquire(model, at, 0)
  try {
    const orderBy = [{ column: 'orderId', direction: 'ASC', nulls: 'LAST' } as const]
    const rows = await snapshot.reader.rows({ table: 'sales', columns: ['orderId'], where: ALL, orderBy, limit: 1000 })
    return rows.map(row => row.orderId)
  } finally {
    snapshot.release()
  }
}
const orders = (...ids: string[]) => ({ rows: ids.map(orderId => sale({ orderId })) })

test('what is submitted is applied by the manager that holds the model, and each version stays as it was', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  expect(await managed.startManager().hold(id)).toBe(true)
  expect(await managed.run(id, 'appendSales', orders('A'))).toMatchObject({ status: 'PUBLISHED', version: 1 })
  expect(await managed.run(id, 'appendSales', orders('B', 'C'))).toMatchObject({
    version: 2,
    result: { table: 'sales', inserted: '2', updated: '0', deleted: '0' },
  })
  expect(await managed.run(id, 'appendSales', orders('A'))).toMatchObject({
    status: 'FAILED',
    error: { code: 'KEY_CONFLICT' },
    version: null,
  })
  expect(await managed.run(id, 'deleteSales', { where: { orderId: { eq: 'B' } } })).toMatchObject({ version: 3 })
  expect(await ordersOf(id)).toEqual(['A', 'C'])
  expect(await ordersOf(id, { version: 2 })).toEqual(['A', 'B', 'C'])
  expect(await ordersOf(id, { version: 1 })).toEqual(['A'])
})

test('of more models without work than a manager keeps at hand, the one that has had none the longest is let go', async () => {
  const released: string[] = []
  const manager = managed.startManager({ mostIdle: 2, onReleased: model => released.push(model) })
  const models: string[] = []
  for (const order of ['A', 'B', 'C']) {
    const { id } = await managed.models.create({ kind: 'sales' })
    models.push(id)
    await manager.hold(id)
    await managed.run(id, 'appendSales', orders(order))
  }
  await comesTrue(async () => released.length > 0)
  expect(released).toEqual(models.slice(0, 1))
  const [first = ''] = models
  expect(await manager.hold(first)).toBe(true)
  expect(await managed.run(first, 'appendSales', orders('D'))).toMatchObject({ version: 2 })
  await comesTrue(async () => released.length > 1)
  expect(released).toEqual(models.slice(0, 2))
})

test('a manager finds by itself what waits in a line that it holds, where neither notice nor job told of it', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  await managed.startManager().hold(id)
  expect(await managed.run(id, 'appendSales', orders('A'))).toMatchObject({ version: 1 })
  const { id: intent } = await managed.db.transaction(async tx => {
    const submission = { model: id, function: 'appendSales', arguments: orders('B'), alone: false }
    const accepted = await managed.ledger.insert(unheard(tx), submission)
    await tx.query('DELETE FROM pgboss.job WHERE id = $1', [accepted.id])
    return accepted
  })
  expect(await managed.ended(intent)).toMatchObject({ status: 'PUBLISHED', version: 2, attempts: 1 })
})

test('intents that wait become one version, in their order, and each is told of its own outcome', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  const submit = (args: Record<string, unknown>) =>
    managed.submitter.submit({ model: id, function: 'appendSales', arguments: args })
  const waiting = [await submit(orders('A')), await submit(orders('A')), await submit(orders('B'))]
  await managed.startManager().hold(id)
  const ended = await Promise.all(waiting.map(intent => managed.ended(intent.id)))
  expect(ended.map(({ status, version }) => [status, version])).toEqual([
    ['PUBLISHED', 1],
    ['FAILED', null],
    ['PUBLISHED', 1],
  ])
  const page = await managed.completions.read(id, 0n, 10)
  expect(page).toMatchObject({ version: 1, position: 3n, hasNextPage: false })
  expect(page?.completions.map(({ intent }) => intent?.seq)).toEqual([1n, 2n, 3n])
})

test('whether others wait for the next batch already is what the pace is told', async () => {
  const published = vi.spyOn(Pace.prototype, 'published')
  onTestFinished(() => published.mockRestore())
  const { id } = await managed.models.create({ kind: 'sales' })
  const upload = await managed.uploads.receive(Readable.from(Buffer.from('siteId,name\nS1,one\n')), {})
  const submit = (fn: string, args: Record<string, unknown>) =>
    managed.submitter.submit({ model: id, function: fn, arguments: args })
  // Row writes share a batch; an import is one of its own, and holds up those behind it.
  await submit('appendSales', orders('A'))
  await submit('appendSales', orders('B'))
  await submit('importSites', { mode: 'APPEND', source: { upload: { id: upload.id } } })
  await submit('appendSales', orders('C'))
  const last = await submit('appendSales', orders('D'))
  await managed.startManager().hold(id)
  expect(await managed.ended(last.id)).toMatchObject({ version: 3 })
  // The ledger says so before the line has gone on.
  const told = () => published.mock.calls.map(([{ intents, more }]) => ({ intents, more }))
  await expect.poll(told).toEqual([
    { intents: 2, more: true },
    { intents: 1, more: true },
    { intents: 2, more: false },
  ])
})

test('a version of a sales model starts refreshActuals in the goals models that read it', async () => {
  const sales = await managed.models.create({ kind: 'sales' })
  const goals = await managed.models.create({ kind: 'goals', reads: [sales.id] })
  const manager = managed.startManager()
  await manager.hold(sales.id)
  await manager.hold(goals.id)
  await managed.run(sales.id, 'appendSales', { rows: [sale({ orderId: 'A', date: '2024-02-01', amount: '10' })] })
  const computed = await managed.run(goals.id, 'computeGoals', {
    salesModel: sales.id,
    basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
    goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
    grain: [],
    interval: 'YEAR',
  })
  expect(computed).toMatchObject({ status: 'PUBLISHED', result: { cells: '1', total: '10.00', salesVersion: 1 } })
  expect(await managed.ledger.reads(computed.id)).toEqual([{ model: sales.id, version: 1 }])
  await managed.run(sales.id, 'appendSales', { rows: [sale({ orderId: 'B', date: '2025-02-01', amount: '4' })] })
  const refreshed = await comesTrue(async () => {
    const [newest] = await managed.ledger.intents(
      { model: goals.id, function: 'refreshActuals', status: ['PUBLISHED'] },
      { limit: 1 },
    )
    return newest?.result?.salesVersion === 2 && newest.source === sales.id
  }, 20_000)
  expect(refreshed).toBe(true)
})

test('a model goes from one manager to another, and nothing is lost or done twice', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  const first = managed.startManager()
  const second = managed.startManager()
  await first.hold(id)
  expect(await second.hold(id)).toBe(false)
  await managed.run(id, 'appendSales', orders('A'))
  await first.release(id)
  expect(await second.hold(id)).toBe(true)
  await managed.run(id, 'appendSales', orders('B'))
  expect(await ordersOf(id)).toEqual(['A', 'B'])
  expect(await managed.models.get(id)).toMatchObject({ epoch: 2, version: 2 })
})

test('versions that nobody needs are let go, and the newest three and pinned ones are kept', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  await managed.startManager().hold(id)
  for (const order of ['A', 'B', 'C', 'D', 'E']) await managed.run(id, 'appendSales', orders(order))
  const kept = async () => (await managed.snapshots.kept(id, 10, null)).map(({ version }) => version)
  await comesTrue(async () => (await kept()).length <= 3)
  expect(await kept()).toEqual([5, 4, 3])
  await expect(ordersOf(id, { version: 1 })).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  await expect(ordersOf(id, { version: 6 })).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_YET' })
})
