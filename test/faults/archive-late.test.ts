import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { pinVersion } from '../../src/jobs/pins.ts'
import type { ObjectStore } from '../../src/platform/objects/index.ts'
import { expectWhole } from '../support/archives.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { nobodysStore } from '../support/object-stores.ts'
import { ofAnotherRelease } from '../support/other-release.ts'
import { sale } from '../support/sales-model.ts'

const NO_REST = { ms: 0, times: 0 }

const enginesOfAnotherRelease = ({ engines }: Losable) =>
  new Map([...engines].map(([name, engine]) => [name, ofAnotherRelease(engine)]))
const append = (jobs: Losable, model: string, entryId: string) =>
  jobs.run(model, 'appendTrialEntries', { rows: [{ entryId, note: null }] })

/** The store as a process has it that is stopped in the middle of its first put of such an object, until it is let on. */
function stoppedAt(objects: ObjectStore, pattern: RegExp) {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const stopped = async <T>(key: string, put: () => Promise<T>): Promise<T> => {
    if (!pattern.test(key)) return put()
    reached.resolve()
    await gate.promise
    try {
      return await put()
    } finally {
      done.resolve()
    }
  }
  const store = new Proxy(objects, {
    get(of, name) {
      if (name === 'put') return (...args: Parameters<typeof of.put>) => stopped(args[0], () => of.put(...args))
      if (name === 'putFile')
        return async (...[key, path]: Parameters<typeof of.putFile>) => {
          const bytes = await readFile(path)
          return stopped(key, () => of.put(key, bytes))
        }
      const value = Reflect.get(of, name)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
  const letOn = () => {
    gate.resolve()
    return done.promise
  }
  return { store, reached: reached.promise, letOn }
}

test.for([
  ['a table', /\.parquet$/],
  ['the manifest', /manifest/],
] as const)(
  'what a manager puts of %s that was frozen over it is not what its successor has put there',
  async ([, pattern]) => {
    await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
    const { id } = await jobs.models.create({ kind: 'trial' })
    const { store, reached, letOn } = stoppedAt(jobs.objects, pattern)
    const frozen = jobs.startManager({ objects: store, engines: enginesOfAnotherRelease(jobs) })
    await frozen.hold(id)
    await append(jobs, id, 'A')
    await reached
    await jobs.db.query('DELETE FROM model_lease')
    await jobs.startManager({ archiveRest: NO_REST }).hold(id)
    await jobs.archived(id)
    expect(await expectWhole(jobs, id)).toEqual([1])
    await letOn()
    await frozen.close()
    expect(await expectWhole(jobs, id)).toEqual([1])
  },
)

test('a damaged archive that is made anew, in other bytes, is not put over what a later one refers to', async () => {
  await using jobs = await openLosable()
  const { id } = await jobs.models.create({ kind: 'sales' })
  const sell = (orderId: string) => jobs.run(id, 'appendSales', { rows: [sale({ orderId })] })
  const nobody = await nobodysStore()
  const offline = jobs.startManager({ objects: nobody })
  await offline.hold(id)
  await jobs.run(id, 'upsertSites', { rows: [{ siteId: 'S1', name: 'South', region: null }] })
  await sell('A')
  await offline.close()
  await nobody.close()
  const first = jobs.startManager({ archiveRest: NO_REST })
  await first.hold(id)
  await jobs.archived(id)
  await pinVersion(jobs.db, id, 2, 'audit')
  await sell('B')
  await jobs.archived(id)
  await first.close()
  const before = await jobs.rows(id)
  // The sites of version 3 are the object of version 2, whose sales are no more what they were.
  const [{ key, bytes } = { key: '', bytes: 0 }] = await jobs.db.query<{ key: string; bytes: number }>(
    `SELECT t.key, t.bytes FROM archive a, json_to_recordset(a.tables) AS t ("table" text, key text, bytes integer)
      WHERE a.model = $1 AND a.version = 2 AND t."table" = 'sales'`,
    [id],
  )
  await jobs.objects.put(key, Buffer.alloc(bytes, 'x'))

  await jobs.loseDisk()
  const second = jobs.startManager({ archiveRest: NO_REST, engines: enginesOfAnotherRelease(jobs) })
  await second.hold(id)
  expect(await jobs.rows(id, { version: 2 })).toMatchObject({ version: 2 })
  const isArchivedAnew = async () =>
    (await jobs.db.query(`SELECT FROM archive WHERE model = $1 AND state = 'THERE'`, [id])).length === 2
  expect(await comesTrue(isArchivedAnew)).toBe(true)
  expect(await expectWhole(jobs, id)).toEqual([2, 3])
  await second.close()
  await jobs.loseDisk()
  await jobs.startManager().hold(id)
  expect(await jobs.rows(id)).toEqual(before)
})
