import { afterAll, beforeAll, expect, test } from 'vitest'
import { logCompletions } from '../../src/jobs/completion-log.ts'
import { Leases, releaseAll } from '../../src/jobs/lease.ts'
import { Ledger, type Submission } from '../../src/jobs/ledger.ts'
import { findLine, giveBack } from '../../src/jobs/take.ts'
import { Database } from '../../src/platform/postgres.ts'
import { type Control, openControl } from '../support/control.ts'
import { untilWaiting } from '../support/locks.ts'
import { RecordingDatabase } from '../support/recording-database.ts'
import { takenBatch } from '../support/taken-batch.ts'

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

const rows = [{ siteId: '1', name: 'North', region: null, country: null }]
const append = (model: string, more: Partial<Submission> = {}): Submission => ({
  model,
  function: 'appendSites',
  arguments: { rows },
  alone: false,
  ...more,
})

test('seq counts 1, 2, 3 … without a gap, also under many submitters and refused repetitions', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const keys = Array.from({ length: 60 }, (_, index) => `key-${index % 40}`)
  const intents = await Promise.all(keys.map(idempotencyKey => control.ledger.submit(append(id, { idempotencyKey }))))
  const seqs = [...new Set(intents.map(({ seq }) => Number(seq)))].sort((a, b) => a - b)
  expect(seqs).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
})

test('the same key gives the same intent again, and with other arguments a conflict', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const first = await control.ledger.submit(append(id, { idempotencyKey: 'k' }))
  const again = await control.ledger.submit(append(id, { idempotencyKey: 'k' }))
  expect(again.id).toBe(first.id)
  const other = control.ledger.submit(append(id, { idempotencyKey: 'k', arguments: { rows: [] } }))
  await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
})

/** Submits while somebody else holds the model's row, until so many transactions wait for it. */
async function submittedWhileLocked<T>(model: string, waiting: number, submit: () => Promise<T>): Promise<T> {
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holding = control.db.transaction(async tx => {
    await tx.query('SELECT FROM goal_model WHERE id = $1 FOR UPDATE', [model])
    locked.resolve()
    await gate.promise
  })
  await locked.promise
  const submitting = submit()
  await untilWaiting(control.db, waiting)
  gate.resolve()
  await holding
  return submitting
}

test('keys that are there already, or twice, cost those that are accepted together no further transaction', async () => {
  await using stack = new AsyncDisposableStack()
  const { url, queue, models } = control
  const options = { url, name: 'recorded', connections: 2, onError: () => {} }
  const db = stack.adopt(new RecordingDatabase(options), open => open.close())
  const ledger = new Ledger(db, queue)
  const { id } = await models.create({ kind: 'sales' })
  const there = await ledger.submit(append(id, { idempotencyKey: 'there' }))
  db.statements.length = 0
  const keys = ['a', 'there', null, 'twice', 'b', 'twice', null]
  const others = ['there', 'twice']
  // The first one waits for the row by itself, and all the others for it.
  const [, intents, refused] = await submittedWhileLocked(id, 1, () =>
    Promise.all([
      ledger.submit(append(id)),
      Promise.all(keys.map(idempotencyKey => ledger.submit(append(id, { idempotencyKey })))),
      Promise.allSettled(
        others.map(idempotencyKey => ledger.submit(append(id, { idempotencyKey, arguments: { rows: [] } }))),
      ),
    ]),
  )
  expect(intents.map(({ seq }) => Number(seq))).toEqual([3, 1, 4, 5, 6, 5, 7])
  expect(intents[1]).toEqual(there)
  const conflict = (intent?: string) => ({
    status: 'rejected',
    reason: { code: 'IDEMPOTENCY_CONFLICT', details: { intent } },
  })
  expect(refused).toMatchObject([conflict(there.id), conflict(intents[3]?.id)])
  expect(db.statements.filter(({ text }) => text.includes('INSERT INTO intent'))).toHaveLength(2)
  expect(await ledger.submit(append(id))).toMatchObject({ seq: 8n })
})

test('of two servers that are asked with the same key at once, both find the one intent', async () => {
  const { db, queue, models } = control
  const { id } = await models.create({ kind: 'sales' })
  const servers = [new Ledger(db, queue), new Ledger(db, queue)]
  const intents = await submittedWhileLocked(id, 2, () =>
    Promise.all(servers.map(ledger => ledger.submit(append(id, { idempotencyKey: 'one' })))),
  )
  expect(intents.map(({ seq }) => seq)).toEqual([1n, 1n])
  expect(await control.ledger.submit(append(id))).toMatchObject({ seq: 2n })
})

test('an id is never given twice, not even after its model was deleted', async () => {
  await control.models.create({ id: 'once', kind: 'sales' })
  await control.models.delete('once')
  expect(await control.models.get('once')).toBeNull()
  await expect(control.models.create({ id: 'once', kind: 'sales' })).rejects.toMatchObject({ code: 'NAME_TAKEN' })
  await expect(control.ledger.submit(append('once'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('deleting a model cancels what waits, with completions, and is refused while another reads it', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const reader = await control.models.create({ kind: 'goals', reads: [id] })
  await expect(control.models.delete(id)).rejects.toMatchObject({ code: 'MODEL_IN_USE' })
  await control.models.update(reader.id, { reads: [] })
  const intent = await control.ledger.submit(append(id))
  await control.models.delete(id)
  expect(await control.ledger.intent(intent.id)).toMatchObject({ status: 'CANCELLED' })
})

test('reading in a circle is refused', async () => {
  const a = await control.models.create({ kind: 'sales' })
  const b = await control.models.create({ kind: 'sales', reads: [a.id] })
  const c = await control.models.create({ kind: 'sales', reads: [b.id] })
  await expect(control.models.update(a.id, { reads: [c.id] })).rejects.toMatchObject({ code: 'BAD_VALUE' })
})

test('a model has one holder; a later epoch takes over once the lease has ended, and the older one takes nothing', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  await control.ledger.submit(append(id))
  const first = new Leases(control.db, crypto.randomUUID())
  const second = new Leases(control.db, crypto.randomUUID())
  expect(await first.acquire(id)).toBe(1)
  expect(first.safe(id)).toBe(true)
  expect(await second.acquire(id)).toBeNull()
  // The lease ends on the database's clock; nothing is waited for here.
  await control.db.query(
    `UPDATE model_lease SET expires_at = clock_timestamp() - interval '1 second' WHERE model = $1`,
    [id],
  )
  expect(await second.acquire(id)).toBe(2)
  expect(await first.renew()).toEqual(new Set())
  expect(first.safe(id)).toBe(false)
  expect(await takenBatch(control.db, { model: id, epoch: 1, singly: false })).toEqual([])
  expect(await takenBatch(control.db, { model: id, epoch: 2, singly: false })).toHaveLength(1)
})

test('a batch is the waiting row writes in order, or one function alone', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  for (const alone of [false, false, true, false]) await control.ledger.submit(append(id, { alone }))
  const epoch = await new Leases(control.db, crypto.randomUUID()).acquire(id)
  const take = async () => {
    const batch = await takenBatch(control.db, { model: id, epoch: epoch ?? 0, singly: false })
    await control.db.query(`UPDATE intent SET status = 'FAILED', ended_at = now() WHERE id = ANY($1)`, [
      batch.map(intent => intent.id),
    ])
    return batch.map(({ seq }) => Number(seq))
  }
  expect([await take(), await take(), await take(), await take()]).toEqual([[1, 2], [3], [4], []])
})

test('what was taken and not applied goes back to the line, or is told apart after a death', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  await control.ledger.submit(append(id))
  await control.ledger.submit(append(id))
  const epoch = (await new Leases(control.db, crypto.randomUUID()).acquire(id)) ?? 0
  const batch = await takenBatch(control.db, { model: id, epoch, singly: false })
  expect(await findLine(control.db, id)).toEqual({ suspects: 2n, waits: false })
  const alone = await takenBatch(control.db, { model: id, epoch, singly: true })
  const [single] = alone
  expect(single).toMatchObject({ seq: 1n, solo: 1, attempts: 2 })
  await giveBack(control.db, { model: id, epoch, batch: alone })
  await giveBack(control.db, { model: id, epoch, batch })
  expect(await findLine(control.db, id)).toEqual({ suspects: 0n, waits: true })
  const intent = await control.ledger.intent(single?.id ?? '')
  expect(intent).toMatchObject({ status: 'QUEUED', solo: 0 })
})

test('what a manager gives back without having counted it stays counted', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const { id: intent } = await control.ledger.submit(append(id))
  const dead = new Leases(control.db, crypto.randomUUID())
  const first = (await dead.acquire(id)) ?? 0
  await takenBatch(control.db, { model: id, epoch: first, singly: true })
  await releaseAll(control.db, dead.owner)
  const epoch = (await new Leases(control.db, crypto.randomUUID()).acquire(id)) ?? 0
  const batch = await takenBatch(control.db, { model: id, epoch, singly: false })
  await giveBack(control.db, { model: id, epoch, batch })
  expect(await control.ledger.intent(intent)).toMatchObject({ status: 'QUEUED', solo: 1 })
})

test('only a waiting intent can be cancelled, and what is cancelled is in the log', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const intent = await control.ledger.submit(append(id))
  expect(await control.ledger.cancel(intent.id)).toMatchObject({ status: 'CANCELLED' })
  await expect(control.ledger.cancel(intent.id)).rejects.toMatchObject({ code: 'INTENT_STARTED' })
  const page = await control.completions.read(id, 0n, 10)
  expect(page?.completions).toMatchObject([{ position: 1n, intent: { id: intent.id } }])
})

test('that an intent ends a second time is refused by the database itself', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const intent = await control.ledger.submit(append(id))
  await control.ledger.cancel(intent.id)
  const again = control.db.transaction(tx => logCompletions(tx, id, [intent.id]))
  await expect(again).rejects.toThrow('completion_intent')
})

test('a job that is sent again wakes a worker at once, and jobs are settled with their intents', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const woken = Promise.withResolvers<void>()
  const stop = await control.queue.work(id, async () => woken.resolve())
  const intent = await control.ledger.submit(append(id))
  await control.queue.resend(id, intent.id)
  await woken.promise
  await stop()
  await control.db.transaction(tx => control.queue.settle(tx, id, [intent.id]))
  const jobs = await control.db.query(`SELECT state FROM pgboss.job WHERE id = $1 AND state <> 'completed'`, [
    intent.id,
  ])
  expect(jobs).toEqual([])
})

test('what a connection keeps prepared does not grow with the models', async () => {
  const { url, queue, models } = control
  await using stack = new AsyncDisposableStack()
  const db = stack.adopt(new Database({ url, name: 'one', connections: 1, onError: () => {} }), open => open.close())
  const ledger = new Ledger(db, queue)
  const prepared = async () => {
    const { id } = await models.create({ kind: 'sales' })
    const intent = await ledger.submit(append(id))
    await db.transaction(tx => queue.settle(tx, id, [intent.id]))
    return (await db.query('SELECT statement FROM pg_prepared_statements ORDER BY statement')).map(
      ({ statement }) => statement,
    )
  }
  const first = await prepared()
  expect(first.length).toBeGreaterThan(0)
  expect(await prepared()).toEqual(first)
})
