import { expect, test } from 'vitest'
import { LEASE_SECONDS, Leases, openRenewals } from '../../src/jobs/lease.ts'
import { comesTrue } from '../support/comes-true.ts'
import { openControl, TRIAL_KINDS } from '../support/control.ts'
import { untilWaiting } from '../support/locks.ts'
import { openManaged } from '../support/managed.ts'
import { type Exchange, startTcpProxy } from '../support/tcp-proxy.ts'
import { trialsOn } from '../support/trials.ts'

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

test('a renewal that is never answered does not keep the next: the lease outlives it', {
  timeout: 60_000,
}, async () => {
  await using stack = new AsyncDisposableStack()
  const managed = stack.use(await openManaged({ kindsDir: TRIAL_KINDS }))
  const open = new Set<Exchange>()
  const silent = new Set<Exchange>()
  const proxy = stack.use(
    await startTcpProxy(managed.url, (_side, _chunk, exchange) => {
      open.add(exchange)
      return silent.has(exchange) ? 'swallow' : 'pass'
    }),
  )
  const url = new URL(managed.url)
  url.host = new URL(proxy.url).host
  const to = { url: url.href, name: 'test leases', onError: () => {} }
  const renewals = stack.adopt(openRenewals(to), db => db.close())
  const { append, newModel } = trialsOn(managed)
  const model = await newModel()
  await managed.startManager({ renewals }).hold(model)
  const end = async () =>
    (await managed.db.query<{ end: string }>('SELECT expires_at AS end FROM model_lease WHERE model = $1', [model]))[0]
      ?.end
  const first = await end()
  expect(await comesTrue(async () => (await end()) !== first)).toBe(true)
  for (const exchange of open) silent.add(exchange)
  const [lease] = await managed.db.query<{ end: string }>(
    'SELECT clock_timestamp() + make_interval(secs => $2) AS end FROM model_lease WHERE model = $1',
    [model, LEASE_SECONDS + 1],
  )
  const isPast = async () => {
    const [row] = await managed.db.query('SELECT WHERE clock_timestamp() > $1::timestamptz', [lease?.end])
    return row !== undefined
  }
  expect(await comesTrue(isPast)).toBe(true)
  expect(await managed.ended((await append(model, 'A')).id)).toMatchObject({ status: 'PUBLISHED' })
  expect(await managed.models.managers([model])).toMatchObject([{ state: 'RUNNING', epoch: 1 }])
})
