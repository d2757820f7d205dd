import { afterAll, beforeAll, expect, test } from 'vitest'
import { notifyEnded } from '../../src/jobs/channel.ts'
import { logCompletions } from '../../src/jobs/completion-log.ts'
import { type CompletionPage, removeCompletions } from '../../src/jobs/completion-pages.ts'
import { Completions } from '../../src/jobs/completions.ts'
import { comesTrue } from '../support/comes-true.ts'
import { type Control, openControl, quiet } from '../support/control.ts'
import { RecordingDatabase } from '../support/recording-database.ts'

const KEPT = { entries: 1_000_000, days: 36_500 }

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

/** A model with so many intents in its line; they end when they are logged. */
async function modelWith(intents: number, bytes = 10): Promise<{ id: string; intents: string[] }> {
  const { id } = await control.models.create({ kind: 'sales' })
  const ids: string[] = []
  for (let n = 0; n < intents; n++) {
    const rows = [{ siteId: `${n}`, name: 'x'.repeat(bytes), region: null, country: null }]
    const intent = await control.ledger.submit({
      model: id,
      function: 'appendSites',
      arguments: { rows },
      alone: false,
    })
    ids.push(intent.id)
  }
  return { id, intents: ids }
}
/** Appends to the log, and tells nobody. */
const log = (model: string, intents: readonly string[]) =>
  control.db.transaction(tx => logCompletions(tx, model, intents))
const positions = (page: CompletionPage | null | undefined) => page?.completions.map(({ position }) => Number(position))

test('a cursor from before what is kept is told to begin anew, and goes on at the newest', async () => {
  const { completions, db } = control
  const { id, intents } = await modelWith(5)
  await log(id, intents)
  await removeCompletions(db, { ...KEPT, entries: 2 })
  expect(await completions.read(id, 2n, 10)).toMatchObject({
    completions: [],
    position: 5n,
    reset: true,
    hasNextPage: false,
  })
  // What follows 3 is all there.
  const page = await completions.read(id, 3n, 10)
  expect(page).toMatchObject({ reset: false, hasPreviousPage: false, hasNextPage: false })
  expect(positions(page)).toEqual([4, 5])
  expect(await completions.read(id, 4n, 10)).toMatchObject({ reset: false, hasPreviousPage: true })
})

test('completions are removed by their age', async () => {
  const { completions, db } = control
  const { id, intents } = await modelWith(3)
  await log(id, intents)
  await db.query(`UPDATE completion SET at = at - interval '3 days' WHERE model = $1 AND position < 3`, [id])
  await removeCompletions(db, { ...KEPT, days: 4 })
  expect(positions(await completions.read(id, 0n, 10))).toEqual([1, 2, 3])
  await removeCompletions(db, { ...KEPT, days: 2 })
  expect(positions(await completions.read(id, 2n, 10))).toEqual([3])
  await db.query(`UPDATE completion SET at = at - interval '3 days' WHERE model = $1`, [id])
  await removeCompletions(db, { ...KEPT, days: 2 })
  expect(await completions.read(id, 2n, 10)).toMatchObject({ reset: true, position: 3n })
  expect(await completions.read(id, 3n, 10)).toMatchObject({ reset: false, position: 3n })
})

test('who follows a log that is shortened under it is told, and goes on', async () => {
  const { completions, db } = control
  const { id, intents } = await modelWith(4)
  await log(id, intents.slice(0, 3))
  await removeCompletions(db, { ...KEPT, entries: 1 })
  const left = new AbortController()
  const pages = completions.follow(id, 0n, 10, left.signal)
  expect((await pages.next()).value).toMatchObject({ reset: true, position: 3n, completions: [] })
  const next = pages.next()
  await log(id, intents.slice(3))
  expect(positions((await next).value ?? null)).toEqual([4])
  left.abort()
})

test('a log that went on without a word is found; a page holds only so many bytes', async () => {
  const { completions } = control
  const { id, intents } = await modelWith(3, 3 << 20)
  const left = new AbortController()
  const pages = completions.follow(id, 0n, 10, left.signal)
  expect(positions((await pages.next()).value ?? null)).toEqual([])
  const next = pages.next()
  await log(id, intents)
  const page = (await next).value ?? null
  expect(positions(page)).toEqual([1, 2])
  expect(page).toMatchObject({ hasNextPage: true })
  expect(positions((await pages.next()).value ?? null)).toEqual([3])
  left.abort()
})

/** The logs over a database of its own that remembers what it was asked. */
async function recorded(stack: AsyncDisposableStack) {
  const db = stack.adopt(
    new RecordingDatabase({ url: control.url, name: 'recorded', connections: 4, onError: () => {} }),
    open => open.close(),
  )
  const completions = stack.adopt(new Completions(db), open => open.close())
  await completions.start(quiet)
  const left = new AbortController()
  stack.defer(() => left.abort())
  const asked = (part: string) => db.statements.filter(({ text }) => text.includes(part)).length
  return { completions, left, reads: () => asked('JOIN LATERAL'), looks: () => asked('SELECT id, completions') }
}
/** As who publishes does: the notice goes out with what it tells of. */
const end = (model: string, intent: string) =>
  control.db.transaction(async tx => {
    await logCompletions(tx, model, [intent])
    await notifyEnded(tx, model)
  })

test('however many follow a log, it is read once for all that are at the same position', async () => {
  const { id, intents } = await modelWith(4)
  await using stack = new AsyncDisposableStack()
  const { completions, left, reads } = await recorded(stack)
  const followers = Array.from({ length: 50 }, () => completions.follow(id, 0n, 10, left.signal))
  const all = async () => (await Promise.all(followers.map(each => each.next()))).map(({ value }) => value ?? null)
  const first = await all()
  expect(new Set(first).size).toBe(1)
  expect(reads()).toBe(1)
  for (const [index, intent] of intents.entries()) {
    const next = all()
    await end(id, intent)
    const pages = await next
    expect(new Set(pages).size).toBe(1)
    expect(positions(pages[0])).toEqual([index + 1])
  }
  // One for each state of the log; two where a look found it as the notice came.
  expect(reads()).toBeLessThanOrEqual(1 + 2 * intents.length)
})

test('a notice says how far the log has come: the look that follows it wakes nobody', async () => {
  const { id, intents } = await modelWith(1)
  await using stack = new AsyncDisposableStack()
  const { completions, left, reads, looks } = await recorded(stack)
  const looked = async (times: number) => {
    const end = looks() + times
    expect(await comesTrue(async () => looks() >= end)).toBe(true)
  }
  const pages = completions.follow(id, 0n, 10, left.signal)
  await pages.next()
  const next = pages.next()
  // The first look finds where the log is, and of the second it is known that the first has been answered.
  await looked(2)
  await end(id, intents[0] ?? '')
  expect(positions((await next).value ?? null)).toEqual([1])
  void pages.next()
  const before = reads()
  await looked(2)
  expect(reads()).toBe(before)
})
