import { afterAll, beforeAll, expect, test } from 'vitest'
import { Completions } from '../../src/jobs/completions.ts'
import type { Intent } from '../../src/jobs/records.ts'
import { type Control, openControl, quiet } from '../support/control.ts'
import { RecordingDatabase } from '../support/recording-database.ts'

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

const FOLLOWERS = 200

/** So many follow one intent of a model, on a database that remembers what it was asked. */
async function openFollowed(stack: AsyncDisposableStack) {
  const { id: model } = await control.models.create({ kind: 'sales' })
  const submit = () => control.ledger.submit({ model, function: 'appendSites', arguments: { rows: [] }, alone: false })
  const [intent, other] = [await submit(), await submit()]
  const db = stack.adopt(
    new RecordingDatabase({ url: control.url, name: 'recorded', connections: 4, onError: () => {} }),
    open => open.close(),
  )
  const completions = stack.adopt(new Completions(db), open => open.close())
  await completions.start(quiet)
  const left = new AbortController()
  stack.defer(() => left.abort())
  const followers = Array.from({ length: FOLLOWERS }, () => completions.intents.follow(intent, left.signal))
  return {
    intent,
    other,
    statements: db.statements,
    /** The intent itself was read so often. */
    reads: () => db.statements.filter(({ text }) => text.includes('i.arguments')).length,
    next: async () => (await Promise.all(followers.map(each => each.next()))).map(({ value }) => value ?? null),
  }
}

/** Changes an intent; the notice says what it is told, null: nobody is told. */
const change = ({ id }: Intent, set: string, notice: string | null) =>
  control.db.transaction(async tx => {
    await tx.query(`UPDATE intent SET ${set} WHERE id = $1`, [id])
    if (notice) await tx.query(`SELECT pg_notify('teatree', $1)`, [notice])
  })

test('however many follow an intent, what changes of it is asked for once, and told to all', async () => {
  await using stack = new AsyncDisposableStack()
  const { intent, other, statements, reads, next } = await openFollowed(stack)
  const first = await next()
  expect(new Set(first).size).toBe(FOLLOWERS)
  expect(new Set(first.map(moment => moment?.intent)).size).toBe(1)
  expect(reads()).toBe(1)
  const changes: [string, string | null][] = [
    [`status = 'RUNNING', started_at = now()`, `changed ${intent.id}`],
    [`step = 'read', progress = 0.5`, `changed ${intent.id}`],
    // Found without a word.
    [`step = 'check', progress = NULL`, null],
    [`status = 'FAILED', ended_at = now()`, `ended ${intent.model}`],
  ]
  for (const [set, notice] of changes) {
    const before = { reads: reads(), statements: statements.length }
    const moments = next()
    await change(other, `step = 'of the other'`, `ended ${intent.model}`)
    await change(intent, set, notice)
    const told = new Set((await moments).map(moment => moment?.intent))
    expect(told.size).toBe(1)
    // One more where the first look writes down where the intent is.
    expect(reads() - before.reads).toBeLessThanOrEqual(2)
    expect(statements.length - before.statements).toBeLessThan(FOLLOWERS / 10)
  }
  expect(new Set(await next())).toEqual(new Set([null]))
})

test('who asks for the same intent at once is answered by few questions', async () => {
  await using stack = new AsyncDisposableStack()
  const { intent } = await openFollowed(stack)
  const found = await Promise.all(Array.from({ length: 500 }, () => control.ledger.intent(intent.id)))
  expect(new Set(found).size).toBeLessThanOrEqual(2)
})

test('who is told of an intent as it is by now is not told what others were told of it, where it was too large to keep', async () => {
  const { id: model } = await control.models.create({ kind: 'sales' })
  const rows = [{ siteId: 'large', name: 'x'.repeat(2 << 20), region: null, country: null }]
  const intent = await control.ledger.submit({ model, function: 'appendSites', arguments: { rows }, alone: false })
  // No notice has reached this process yet.
  const { intents } = new Completions(control.db)
  const left = new AbortController()
  const earlier = (await intents.follow(intent, left.signal).next()).value
  await control.ledger.cancel(intent.id)
  const later = (await intents.follow(intent, left.signal).next()).value
  expect([earlier?.intent.status, later?.intent.status]).toEqual(['QUEUED', 'CANCELLED'])
  expect(later?.key).not.toBe(earlier?.key)
  left.abort()
})
