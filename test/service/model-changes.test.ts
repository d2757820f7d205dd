import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clearBlocked, markBlocked } from '../../src/jobs/blocked.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { ModelChanges, type ModelNews } from '../../src/jobs/model-changes.ts'
import { Models } from '../../src/jobs/models.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { type Control, openControl } from '../support/control.ts'
import { RecordingDatabase } from '../support/recording-database.ts'

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

const FOLLOWERS = 50

/** Changes of models, on a database that remembers what it was asked. */
function openChanges(stack: AsyncDisposableStack) {
  const { queue, ledger, kinds, completions } = control
  const db = stack.adopt(
    new RecordingDatabase({ url: control.url, name: 'recorded', connections: 4, onError: () => {} }),
    open => open.close(),
  )
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(['DUCKDB']) })
  const changes = new ModelChanges({ models, completions })
  const left = new AbortController()
  stack.defer(() => left.abort())
  return {
    follow: (filter: { ids?: string[]; nameLike?: string }) => changes.follow({ filter, intervalMs: 0 }, left.signal),
    /** Questions that were asked. */
    asked: () => db.statements.length,
  }
}
type Followed = AsyncGenerator<ModelNews, void>
const newsOf = async (follower: Followed): Promise<ModelNews> => {
  const { value } = await follower.next()
  if (!value) throw new Error('there is nothing more to come')
  return value
}
const ids = ({ models }: ModelNews) => models.map(({ id }) => id)

test('those who ask the same have one source: each change is looked at once, and told to all under one key', async () => {
  await using stack = new AsyncDisposableStack()
  const { follow, asked } = openChanges(stack)
  const names = ['shared a', 'shared b', 'shared c']
  const models: string[] = []
  for (const name of names) models.push((await control.models.create({ kind: 'sales', name })).id)
  const filter = { nameLike: 'shared %' }
  const followers = Array.from({ length: FOLLOWERS }, () => follow(filter))
  const all = () => Promise.all(followers.map(newsOf))
  /** What all are told as one is of that name; notices of what was there at the start may come before. */
  const allTold = async (name: string) => {
    for (;;) {
      const news = await all()
      if (news[0]?.models.some(model => model.name === name)) return news
    }
  }
  const first = await all()
  for (const news of first) expect(ids(news)).toEqual(models)
  expect(new Set(first.map(({ key }) => key)).size).toBe(1)
  expect(asked()).toBe(2)

  const next = allTold('shared B')
  await control.models.update(`${models[1]}`, { name: 'shared B' })
  const second = await next
  expect(second.map(ids)).toEqual(second.map(() => [models[1]]))
  expect(new Set(second.map(({ key }) => key)).size).toBe(1)
  expect(asked()).toBeLessThan(FOLLOWERS / 2)

  const late = follow(filter)
  expect((await newsOf(late)).models.map(({ name }) => name)).toEqual(['shared a', 'shared B', 'shared c'])
  // The others are slow: of what they missed each is told once, as it is.
  for (const name of ['shared A', 'shared AA']) {
    const told = newsOf(late)
    await control.models.update(`${models[0]}`, { name })
    await told
  }
  await control.models.update(`${models[2]}`, { name: 'shared C' })
  for (let seen: string[] = []; !seen.includes('shared C'); ) seen = (await newsOf(late)).models.map(({ name }) => name)
  for (const news of await all()) expect(news.models.map(({ name }) => name)).toEqual(['shared AA', 'shared C'])
})

test('what a client selects of a model is answered also where the model is deleted meanwhile', async () => {
  const { id } = await control.models.create({ kind: 'sales' })
  const leases = new Leases(control.db, randomUUID())
  const epoch = (await leases.acquire(id)) ?? 0
  const error = new TeatreeError('UNAVAILABLE', 'There is no room.')
  await markBlocked(control.db, { model: id, epoch, error, retryMs: 60_000 })
  await control.ledger.submit({ model: id, function: 'appendSites', arguments: { rows: [] }, alone: false })
  await control.models.delete(id)
  expect(await control.models.managers([id])).toMatchObject([
    { id, state: 'IDLE', reason: null, retryAt: null, queued: 0 },
  ])
})

test('what a manager does is told of: its coming and going, its line, what blocks it, and an end without a word', async () => {
  await using stack = new AsyncDisposableStack()
  const { follow } = openChanges(stack)
  const { id } = await control.models.create({ kind: 'sales' })
  const changes = follow({ ids: [id] })
  await newsOf(changes)
  /** Asked at each piece of news, until the manager is in this state. */
  const told = async (state: object) => {
    for (;;) {
      await newsOf(changes)
      const [manager] = await control.models.managers([id])
      if (Object.entries(state).every(([name, value]) => Object.is(manager?.[name as 'state'], value))) return manager
    }
  }
  const { db, ledger } = control
  const leases = new Leases(db, randomUUID())
  const epoch = await leases.acquire(id)
  await told({ state: 'RUNNING', epoch })
  await ledger.submit({ model: id, function: 'appendSites', arguments: { rows: [] }, alone: false })
  await told({ queued: 1 })
  const error = new TeatreeError('UNAVAILABLE', 'There is no room.')
  await markBlocked(db, { model: id, epoch: epoch ?? 0, error, retryMs: 60_000 })
  expect(await told({ state: 'BLOCKED' })).toMatchObject({ reason: { message: 'There is no room.' } })
  await clearBlocked(db, { model: id, epoch: epoch ?? 0 })
  await told({ state: 'RUNNING' })
  await leases.release(id)
  await told({ state: 'STARTING' })
  await leases.acquire(id)
  await told({ state: 'RUNNING' })
  // As where its manager is killed: nobody tells.
  await db.query('DELETE FROM model_lease WHERE model = $1', [id])
  await told({ state: 'STARTING' })
  const end = (async () => {
    for await (const _ of changes);
  })()
  await control.models.delete(id)
  await end
})
