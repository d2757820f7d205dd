import { expect, test } from 'vitest'
import { Leases } from '../../src/jobs/lease.ts'
import { openControl } from '../support/control.ts'
import { untilWaiting } from '../support/locks.ts'

test('a lease that is acquired while others are renewed is not taken for lost', async () => {
  await using control = await openControl()
  const [first, second] = await Promise.all([
    control.models.create({ kind: 'sales' }),
    control.models.create({ kind: 'sales' }),
  ])
  const leases = new Leases(control.db, crypto.randomUUID())
  await leases.acquire(first.id)
  let renewing: Promise<Set<string>> | undefined
  // The renewal has to wait for this row, and what it sees is older than the second lease.
  await control.db.transaction(async tx => {
    await tx.query('SELECT FROM model_lease WHERE model = $1 FOR UPDATE', [first.id])
    renewing = leases.renew()
    await untilWaiting(control.db)
    await leases.acquire(second.id)
  })
  expect(await renewing).toEqual(new Set([first.id, second.id]))
  expect([leases.safe(first.id), leases.safe(second.id)]).toEqual([true, true])
})
