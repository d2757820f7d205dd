import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SnapshotAt } from '../../src/jobs/snapshots.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged()
})
afterAll(() => managed[Symbol.asyncDispose]())

/** A model with that many versions, one sale each, and the intents that made them. */
async function modelAt(versions: number) {
  const { id } = await managed.models.create({ kind: 'sales' })
  const manager = managed.startManager()
  await manager.hold(id)
  const append = (orderId: string) => managed.run(id, 'appendSales', { rows: [sale({ orderId })] })
  const intents = []
  for (let version = 1; version <= versions; version++) intents.push(await append(`${version}`))
  return { id, append, intents, manager }
}

/** The version's number, or the code of the refusal. */
const at = (model: string, choice: SnapshotAt | null, waitMs = 0) =>
  managed.snapshots.find(model, choice, waitMs).then(
    ({ version }) => version,
    error => error.code,
  )

const letVersionsGo = (model: string, ...versions: number[]) =>
  managed.db.query('UPDATE model_version SET kept = false WHERE model = $1 AND version = ANY($2)', [model, versions])

const submit = (model: string, orderId: string) =>
  managed.submitter.submit({ model, function: 'appendSales', arguments: { rows: [sale({ orderId })] } })

test('without at it is the newest', async () => {
  const { id, append } = await modelAt(0)
  expect(await at(id, null)).toBe(0)
  await append('A')
  expect(await at(id, null)).toBe(1)
})

test('version: exactly this one, while it is kept', async () => {
  const { id, append } = await modelAt(2)
  await letVersionsGo(id, 1)
  expect(await at(id, { version: 2 })).toBe(2)
  expect(await at(id, { version: 1 })).toBe('SNAPSHOT_GONE')
  expect(await at(id, { version: 3 })).toBe('SNAPSHOT_NOT_YET')
  const waiting = at(id, { version: 3 }, 30_000)
  await append('A')
  await append('B')
  expect(await waiting).toBe(3)
})

test('atLeast: the newest, once it has reached this version', async () => {
  const { id, append } = await modelAt(2)
  expect(await at(id, { atLeast: 0 })).toBe(2)
  expect(await at(id, { atLeast: 2 })).toBe(2)
  expect(await at(id, { atLeast: 3 })).toBe('SNAPSHOT_NOT_YET')
  const waiting = at(id, { atLeast: 3 }, 30_000)
  await append('A')
  expect(await waiting).toBe(3)
})

test('intent: the oldest kept version that holds it, waited for', async () => {
  const { id, intents } = await modelAt(3)
  const [first] = intents
  expect(await at(id, { intent: first?.id ?? '' })).toBe(1)
  await letVersionsGo(id, 1)
  expect(await at(id, { intent: first?.id ?? '' })).toBe(2)
  const own = await submit(id, 'A')
  expect(await at(id, { intent: own.id }, 30_000)).toBe(4)
})

test('intent: one that waits is not there yet; one that ended without effect is read at the newest', async () => {
  const { id, manager } = await modelAt(2)
  const refused = await managed.run(id, 'appendSales', { rows: [sale({ orderId: '1' })] })
  expect(refused.status).toBe('FAILED')
  expect(await at(id, { intent: refused.id })).toBe(2)
  await manager.close()
  const waiting = await submit(id, 'A')
  expect(await at(id, { intent: waiting.id })).toBe('SNAPSHOT_NOT_YET')
  const cancelled = at(id, { intent: waiting.id }, 30_000)
  await managed.ledger.cancel(waiting.id)
  expect(await cancelled).toBe(2)
})

test('intent: of another model, or none, is not found', async () => {
  const { id } = await modelAt(0)
  const other = await modelAt(1)
  expect(await at(id, { intent: other.intents[0]?.id ?? '' })).toBe('NOT_FOUND')
  expect(await at(id, { intent: crypto.randomUUID() })).toBe('NOT_FOUND')
  expect(await at(id, { intent: 'nonsense' })).toBe('NOT_FOUND')
})

test('asOf: the version that was the newest at that instant, not one near it', async () => {
  const { id } = await modelAt(3)
  const [, first, second] = await managed.db.query<{ publishedAt: string }>(
    'SELECT published_at AS "publishedAt" FROM model_version WHERE model = $1 ORDER BY version',
    [id],
  )
  const [before] = await managed.db.query<{ at: string }>(`SELECT $1::timestamptz - interval '1 microsecond' AS at`, [
    second?.publishedAt,
  ])
  expect(await at(id, { asOf: first?.publishedAt ?? '' })).toBe(1)
  expect(await at(id, { asOf: before?.at ?? '' })).toBe(1)
  expect(await at(id, { asOf: second?.publishedAt ?? '' })).toBe(2)
  await letVersionsGo(id, 1)
  expect(await at(id, { asOf: before?.at ?? '' })).toBe('SNAPSHOT_GONE')
  expect(await at(id, { asOf: '2001-01-01T00:00:00Z' })).toBe('SNAPSHOT_GONE')
})

test('asOf: what will be the newest at an instant to come is not known before it', async () => {
  const { id, append } = await modelAt(1)
  const [soon] = await managed.db.query<{ at: string }>(`SELECT clock_timestamp() + interval '3 seconds' AS at`)
  const asOf = soon?.at ?? ''
  expect(await at(id, { asOf })).toBe('SNAPSHOT_NOT_YET')
  const waiting = at(id, { asOf }, 30_000)
  await append('A')
  expect(await waiting).toBe(await at(id, { asOf }))
})

test('a model that is deleted meanwhile is not there, however long one would wait', async () => {
  const { id } = await modelAt(1)
  const waiting = at(id, { atLeast: 2 }, 60_000)
  await managed.models.delete(id)
  expect(await waiting).toBe('NOT_FOUND')
  expect(await at(id, null, 60_000)).toBe('NOT_FOUND')
})
