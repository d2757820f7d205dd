import { afterAll, beforeAll, expect, test } from 'vitest'
import { Leases } from '../../src/jobs/lease.ts'
import { type Control, openControl } from '../support/control.ts'

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

const newModel = async () => (await control.models.create({ kind: 'sales' })).id
const newLeases = () => new Leases(control.db, crypto.randomUUID())

test('a lease whose release did not get through is renewed no more, and its owner can have it again at once', async () => {
  const model = await newModel()
  const leases = newLeases()
  const epoch = await leases.acquire(model)
  // The release that the database never heard of.
  await leases.release(model)
  await control.db.query(
    `INSERT INTO model_lease (model, owner, epoch, expires_at) VALUES ($1, $2, $3, clock_timestamp() + interval '1 hour')`,
    [model, leases.owner, epoch],
  )
  expect(await leases.renew()).toEqual(new Set())
  expect(await expiry(model)).toBeGreaterThan(3000)
  expect(await newLeases().acquire(model)).toBeNull()
  expect(await leases.acquire(model)).toBe((epoch ?? 0) + 1)
})

/** In seconds from now. */
async function expiry(model: string): Promise<number> {
  const [lease] = await control.db.query<{ seconds: number }>(
    'SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds FROM model_lease WHERE model = $1',
    [model],
  )
  return lease?.seconds ?? 0
}

test('what is released is the lease of that epoch, and no later one', async () => {
  const model = await newModel()
  const leases = newLeases()
  await leases.acquire(model)
  await control.db.query('UPDATE model_lease SET epoch = epoch + 1 WHERE model = $1', [model])
  await leases.release(model)
  expect(await expiry(model)).toBeGreaterThan(0)
  expect(leases.safe(model)).toBe(false)
})
