import { afterAll, beforeAll, expect, test } from 'vitest'
import { cancelIntents } from '../../src/jobs/completion-log.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { Fenced, type Published, Publisher } from '../../src/jobs/publish.ts'
import { pinReads } from '../../src/jobs/reads.ts'
import type { Intent } from '../../src/jobs/records.ts'
import { giveBack, type Taken } from '../../src/jobs/take.ts'
import { Takes } from '../../src/jobs/takes.ts'
import { Database } from '../../src/platform/postgres.ts'
import { comesTrue } from '../support/comes-true.ts'
import { type Control, openControl, quiet, TRIAL_KINDS } from '../support/control.ts'
import { fillBatches } from '../support/fill-batches.ts'
import { untilWaiting } from '../support/locks.ts'
import { takenBatch } from '../support/taken-batch.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

let control: Control
let publisher: Publisher
beforeAll(async () => {
  control = await openControl({ kindsDir: TRIAL_KINDS })
  publisher = new Publisher(control)
})
afterAll(() => control[Symbol.asyncDispose]())

const newModel = (id: string, reads: string[] = []) => control.models.create({ id, kind: 'trial', reads })
const submit = (model: string) =>
  control.ledger.submit({
    model,
    function: 'appendTrialEntries',
    arguments: { rows: [{ entryId: crypto.randomUUID(), note: null }] },
    alone: false,
  })
const acquire = async (model: string): Promise<number> => {
  const epoch = await new Leases(control.db, crypto.randomUUID()).acquire(model)
  if (epoch === null) throw new Error(`${model} is held`)
  return epoch
}
const take = (model: string, epoch: number) => takenBatch(control.db, { model, epoch, singly: false })

/** Publishes what waits as the next version, with a file that nobody opens here. */
async function publish(model: string, epoch: number): Promise<Published> {
  const kind = control.kinds.get('trial')
  const { version } = (await control.models.get(model)) ?? {}
  const batch = await take(model, epoch)
  if (!kind || version === undefined) throw new Error('no such model')
  return publisher.publish({
    model,
    kind,
    epoch,
    after: version,
    endings: batch.map(({ id }) => ({ intent: id, status: 'PUBLISHED', result: {} })),
    lastSeq: batch.at(-1)?.seq ?? 0n,
    snapshot: { dir: '/nowhere', files: [{ name: 'model.duckdb', bytes: 0, sha256: '0'.repeat(64) }], tables: [] },
  })
}

/** Reads of the triggers that a model's manager has taken, as they would be applied now. */
const versionsRead = (batch: readonly Intent[], epoch: number, source: string) =>
  Promise.all(
    batch.map(async ({ id, model }) => {
      const requests = [{ alias: 'source', model: source, version: null }]
      const of = { model, epoch, intent: id, requests, reads: [{ id: source }] }
      const [read] = await pinReads(control.db, '/nowhere', of)
      return read?.version
    }),
  )

test('an intent that is cancelled while it is being taken stays cancelled, and those behind it are taken', async () => {
  await newModel('cancelled')
  const [first, second] = [await submit('cancelled'), await submit('cancelled')]
  const epoch = await acquire('cancelled')
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const cancelling = control.db.transaction(async tx => {
    await cancelIntents(tx, 'cancelled', 'id = $2', [first.id])
    locked.resolve()
    await gate.promise
  })
  await locked.promise
  const taking = take('cancelled', epoch)
  await untilWaiting(control.db)
  gate.resolve()
  await cancelling
  expect((await taking).map(({ id }) => id)).toEqual([second.id])
  expect(await control.ledger.intent(first.id)).toMatchObject({ status: 'CANCELLED', startedAt: null })
})

test('of two managers of a model, the older gives nothing back that the younger has taken', async () => {
  await newModel('handed-over')
  await submit('handed-over')
  const older = await acquire('handed-over')
  const batch = await take('handed-over', older)
  await control.db.query(`UPDATE model_lease SET expires_at = now() - interval '1s' WHERE model = 'handed-over'`)
  const younger = await acquire('handed-over')
  expect(await take('handed-over', younger)).toHaveLength(1)
  await giveBack(control.db, { model: 'handed-over', epoch: older, batch })
  expect(await control.ledger.intent(batch[0]?.id ?? '')).toMatchObject({ status: 'RUNNING', attempts: 2 })
})

test('what a dead manager had begun is not given back with what its successor had in hand', async () => {
  await newModel('suspects')
  const [first, second] = [await submit('suspects'), await submit('suspects')]
  await take('suspects', await acquire('suspects'))
  await control.db.query(`UPDATE model_lease SET expires_at = now() - interval '1s' WHERE model = 'suspects'`)
  const epoch = await acquire('suspects')
  const batch = await takenBatch(control.db, { model: 'suspects', epoch, singly: true })
  await giveBack(control.db, { model: 'suspects', epoch, batch })
  expect(await control.ledger.intent(first.id)).toMatchObject({ status: 'QUEUED', attempts: 1, solo: 0 })
  expect(await control.ledger.intent(second.id)).toMatchObject({ status: 'RUNNING', attempts: 1 })
})

/** The takes of a line in which three wait, each large enough to be a batch of its own; the second is not where it is `small`. */
async function openTakes(model: string, { small }: { small: boolean }) {
  await newModel(model)
  const intents = [await submit(model), await submit(model), await submit(model)]
  await fillBatches(control.db, model)
  const [first, second, third] = intents.map(({ id }) => id)
  if (small) await control.db.query('UPDATE intent SET bytes = 1 WHERE id = $1', [second])
  return { takes: new Takes({ db: control.db, log: quiet, model, epoch: await acquire(model) }), first, second, third }
}
const untilRunning = async (id: string | undefined) =>
  expect(await comesTrue(async () => (await intentOf(id))?.status === 'RUNNING')).toBe(true)
const idsOf = ({ batch }: Taken) => batch.map(({ id }) => id)
const intentOf = (id: string | undefined) => control.ledger.intent(id ?? '')

test('row writes are taken behind a batch that is being applied, in their order, and go back to the line with it', async () => {
  const { takes, first, second, third } = await openTakes('pipelined', { small: false })
  const begun = await takes.next(false)
  takes.takeBehind(begun)
  await takes.giveBack(begun.batch)
  for (const id of [first, second]) expect(await intentOf(id)).toMatchObject({ status: 'QUEUED', attempts: 0 })
  const batches: string[][] = []
  for (let batch = 0; batch < 3; batch++) {
    const taken = await takes.next(false)
    takes.takeBehind(taken)
    batches.push(idsOf(taken))
  }
  expect(batches).toEqual([[first], [second], [third]])
})

test('what could not be given back while the database was away is, as the line closes, once it is there; not where the process stops', async () => {
  const model = 'outage'
  await newModel(model)
  const intents = [await submit(model), await submit(model)]
  let isAway = false
  await using proxy = await startTcpProxy(control.url, () => (isAway ? 'cut' : 'pass'))
  const url = new URL(control.url)
  url.host = new URL(proxy.url).host
  const db = new Database({ url: url.href, name: 'test', connections: 1, onError: () => {} })
  try {
    const takes = new Takes({ db, log: quiet, model, epoch: await acquire(model) })
    const { batch } = await takes.next(true)
    await takes.next(false)
    isAway = true
    await takes.giveBack(batch)
    await expect(takes.close(AbortSignal.abort())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    // As it is where it was away for longer than a lease.
    await control.db.query(`UPDATE model_lease SET expires_at = now() - interval '1s' WHERE model = $1`, [model])
    const closed = takes.close(new AbortController().signal)
    isAway = false
    await closed
    expect(await intentOf(intents[0]?.id)).toMatchObject({ status: 'QUEUED', solo: 0 })
    expect(await intentOf(intents[1]?.id)).toMatchObject({ status: 'RUNNING' })
  } finally {
    await db.close()
  }
})

test('a function is not taken behind another batch, and is not counted for it', async () => {
  const { takes, first, second } = await openTakes('no-pipeline', { small: false })
  await control.db.query('UPDATE intent SET alone = true WHERE id = $1', [second])
  const begun = await takes.next(false)
  takes.takeBehind(begun)
  await takes.giveBack([])
  expect(idsOf(begun)).toEqual([first])
  expect(await intentOf(second)).toMatchObject({ status: 'QUEUED', attempts: 0, solo: 0 })
  await control.db.query(`UPDATE intent SET status = 'FAILED', ended_at = now() WHERE id = $1`, [first])
  expect(idsOf(await takes.next(false))).toEqual([second])
})

test('a small batch that was taken behind another is joined by what has come since', async () => {
  const { takes, first, second, third } = await openTakes('joined', { small: true })
  await control.db.query(`UPDATE intent SET status = 'CANCELLED', ended_at = now() WHERE id = $1`, [third])
  const begun = await takes.next(false)
  takes.takeBehind(begun)
  await untilRunning(second)
  const since = await submit('joined')
  expect(idsOf(begun)).toEqual([first])
  expect(idsOf(await takes.next(false))).toEqual([second, since.id])
})

test('a trigger that goes back to the line does not hide the versions that come meanwhile', async () => {
  await newModel('source')
  await newModel('follower', ['source'])
  const [publishing, following] = [await acquire('source'), await acquire('follower')]
  await submit('source')
  await publish('source', publishing)
  const begun = await take('follower', following)
  expect(await versionsRead(begun, following, 'source')).toEqual([1])
  await giveBack(control.db, { model: 'follower', epoch: following, batch: begun })
  await submit('source')
  await publish('source', publishing)
  const [again] = await take('follower', following)
  expect(again?.id).toBe(begun[0]?.id)
  await control.db.query(`UPDATE intent SET status = 'FAILED', ended_at = now() WHERE id = $1`, [again?.id])
  expect(await versionsRead(await take('follower', following), following, 'source')).toEqual([2])
})

test('a trigger goes back to the line also where the next one waits there already', async () => {
  await newModel('busy-source')
  await newModel('busy-follower', ['busy-source'])
  const [publishing, following] = [await acquire('busy-source'), await acquire('busy-follower')]
  await submit('busy-source')
  await publish('busy-source', publishing)
  const begun = await take('busy-follower', following)
  await submit('busy-source')
  await publish('busy-source', publishing)
  await giveBack(control.db, { model: 'busy-follower', epoch: following, batch: begun })
  expect(await control.ledger.intent(begun[0]?.id ?? '')).toMatchObject({ attempts: 0, solo: 0 })
  const waiting = await control.ledger.intents({ model: 'busy-follower' }, { limit: 10 })
  expect(waiting).toHaveLength(2)
})

test('a trigger whose taking was lost with a crash of PostgreSQL reads nothing, and taken again the newest version', async () => {
  const [source, model] = ['crashed-source', 'crashed-follower']
  await newModel(source)
  await newModel(model, [source])
  const [publishing, following] = [await acquire(source), await acquire(model)]
  await submit(source)
  await publish(source, publishing)
  const begun = await take(model, following)
  // Nobody had waited until it was on disk.
  await control.db.query(`UPDATE intent SET status = 'QUEUED', started_at = NULL, attempts = 0 WHERE model = $1`, [
    model,
  ])
  await expect(versionsRead(begun, following, source)).rejects.toThrow(Fenced)
  expect(await control.ledger.reads(begun[0]?.id ?? '')).toEqual([])
  await submit(source)
  await publish(source, publishing)
  const again = await take(model, following)
  expect(again.map(({ id }) => id)).toEqual(begun.map(({ id }) => id))
  expect(await versionsRead(again, following, source)).toEqual([2])
})

test('of two managers of a model, the older says no more what its intents read', async () => {
  const [source, model] = ['read-source', 'read-follower']
  await newModel(source)
  await newModel(model, [source])
  const [publishing, older] = [await acquire(source), await acquire(model)]
  await submit(source)
  await publish(source, publishing)
  const begun = await take(model, older)
  await control.db.query('UPDATE model_lease SET expires_at = now() WHERE model = $1', [model])
  const younger = await acquire(model)
  await expect(versionsRead(begun, older, source)).rejects.toThrow(Fenced)
  expect(await control.ledger.reads(begun[0]?.id ?? '')).toEqual([])
  expect(await versionsRead(await take(model, younger), younger, source)).toEqual([1])
})

test('models that start each other, whichever way their ids are ordered, publish at once without waiting for each other', async () => {
  // b reads a and c, and c reads a: who publishes a wants b and c, and who publishes c holds it and wants b.
  await newModel('a')
  await newModel('c', ['a'])
  await newModel('b', ['a', 'c'])
  const epochs = { a: await acquire('a'), c: await acquire('c') }
  await submit('a')
  await submit('c')
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holding = control.db.transaction(async tx => {
    await tx.query(`SELECT FROM goal_model WHERE id = 'b' FOR UPDATE`)
    locked.resolve()
    await gate.promise
  })
  await locked.promise
  const first = publish('a', epochs.a)
  await untilWaiting(control.db)
  const second = publish('c', epochs.c)
  await untilWaiting(control.db, 2)
  gate.resolve()
  await holding
  await Promise.all([first, second])
})

test('reads are changed while one of them publishes, and neither waits for the other', async () => {
  await newModel('published')
  await newModel('changed', ['published'])
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  // As who publishes does: the source's row, then its readers'.
  const publishing = control.db.transaction(async tx => {
    await tx.query(`SELECT FROM goal_model WHERE id = 'published' FOR NO KEY UPDATE`)
    locked.resolve()
    await gate.promise
    await tx.query(`SELECT FROM goal_model WHERE id = 'changed' FOR NO KEY UPDATE`)
  })
  await locked.promise
  await control.models.update('changed', { name: 'Changed', reads: ['published'] })
  gate.resolve()
  await publishing
})

test('how long an intent took is told by the clock that it was submitted by', async () => {
  await newModel('timed')
  const { id } = await submit('timed')
  await control.db.query(`UPDATE intent SET submitted_at = submitted_at - interval '1 day' WHERE id = $1`, [id])
  const { seconds } = await publish('timed', await acquire('timed'))
  const { submittedAt, endedAt } = (await control.ledger.intent(id)) ?? {}
  expect(seconds.get(id)).toBeCloseTo((Date.parse(endedAt ?? '') - Date.parse(submittedAt ?? '')) / 1000, 1)
})
