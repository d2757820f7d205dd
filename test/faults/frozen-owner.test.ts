import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { environment, startManagerProcess } from '../support/manager-process.ts'
import { trialsOn } from '../support/trials.ts'

const startManager = (managed: Managed) =>
  startManagerProcess(
    environment({
      TEATREE_DATABASE_URL: managed.url,
      TEATREE_DATA_DIR: managed.dataDir,
      TEATREE_STORE_URL: pathToFileURL(join(managed.dataDir, 'store')).href,
      TEATREE_KINDS: TRIAL_KINDS,
    }),
  )

test('an owner that was frozen past its lease finds its successor at work: nothing of its epoch is accepted, and its strays are swept', {
  timeout: 120_000,
}, async () => {
  await using managed = await openManaged({ kindsDir: TRIAL_KINDS })
  await using first = await startManager(managed)
  await using second = await startManager(managed)
  const { append, entries, linger, newModel, until, untilWaiting } = trialsOn(managed)
  const model = await newModel()
  const versions = join(managed.dataDir, 'models', model, 'versions')
  const endLease = () =>
    managed.db.query(`UPDATE model_lease SET expires_at = now() - interval '1 second' WHERE model = $1`, [model])

  expect(await first.hold(model)).toBe(true)
  await managed.ended((await append(model, 'A')).id)
  const done = join(managed.dataDir, 'done')
  const lingering = await linger(model, done)
  await untilWaiting(lingering)
  first.child.kill('SIGSTOP')
  await endLease()
  // What a manager leaves that dies in the midst of making a version.
  await mkdir(join(versions, '2-1'))

  expect(await second.hold(model)).toBe(true)
  await until(model, async () => ((await managed.ledger.intent(lingering.id))?.attempts ?? 0) === 2)
  await writeFile(done, '')
  expect(await managed.ended(lingering.id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
  expect(await managed.ended((await append(model, 'B')).id)).toMatchObject({ status: 'PUBLISHED', version: 3 })
  expect((await readdir(versions)).sort()).toEqual(['1-1', '2-2', '3-2'])

  // Its function is done as well by now, and it wants to publish what it has: version 2.
  const released = first.released(model)
  first.child.kill('SIGCONT')
  await released
  expect(await managed.ended((await append(model, 'C')).id)).toMatchObject({ status: 'PUBLISHED', version: 4 })
  const published = await managed.db.query('SELECT version, epoch FROM model_version WHERE model = $1 ORDER BY 1', [
    model,
  ])
  expect(published.map(({ version, epoch }) => [version, epoch])).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 2],
  ])
  expect(await entries(model)).toEqual(['A', 'B', 'C', lingering.id].sort())
  expect((await managed.completions.read(model, 0n, 100))?.completions.map(({ intent }) => intent?.seq)).toEqual([
    1n,
    2n,
    3n,
    4n,
  ])

  // Whatever it has left behind goes when the model is next opened.
  await endLease()
  await second.released(model)
  expect(await first.hold(model)).toBe(true)
  await managed.ended((await append(model, 'D')).id)
  expect((await readdir(versions)).filter(name => /-1$/.test(name) && name !== '1-1')).toEqual([])
})
