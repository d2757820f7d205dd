import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Engine, Readers } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { Snapshots } from '../../src/jobs/snapshots.ts'
import { quiet } from '../support/control.ts'
import { LONGER } from '../support/longer.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged()
})
afterAll(() => managed[Symbol.asyncDispose]())

const PUBLISHES = 50 * LONGER
const READS = 20 * PUBLISHES
const CLIENTS = 8

async function newModel(): Promise<string> {
  const { id } = await managed.models.create({ kind: 'sales' })
  await managed.startManager().hold(id)
  return id
}

const append = (model: string, orderId: string) => managed.run(model, 'appendSales', { rows: [sale({ orderId })] })

/** Another API process on the same database, whose openings can be watched, and held up at a gate. */
function openApiProcess() {
  const opened: number[] = []
  let gate = Promise.resolve()
  let opening = 0
  let most = 0
  const watch = (readers: Readers): Readers => ({
    async open(options) {
      most = Math.max(most, ++opening)
      await gate
      const reader = await readers.open(options)
      opening--
      opened.push(reader.version)
      return reader
    },
    resultRows: (...args) => readers.resultRows(...args),
    streamResult: (...args) => readers.streamResult(...args),
    close: () => readers.close(),
  })
  const engines = new Map(
    [...managed.engines].map(([name, engine]): [string, Engine] => [
      name,
      { ...engine, openReaders: async () => watch(await engine.openReaders()) },
    ]),
  )
  const { db, kinds, completions, dataDir } = managed
  const snapshots = new Snapshots({ db, kinds, engines, completions, dataDir, log: quiet })
  onTestFinished(() => snapshots.close())
  return {
    snapshots,
    opened,
    mostAtOnce: () => most,
    holdUp() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
  }
}

const touch = async (snapshots: Snapshots, model: string) => (await snapshots.acquire(model, null, 0)).release()

test('a new version is open before the first query asks for it, where the model is in use', async () => {
  const used = await newModel()
  const unused = await newModel()
  const { snapshots, opened } = openApiProcess()
  await append(used, 'A')
  await touch(snapshots, used)
  expect(opened).toEqual([1])
  await append(unused, 'A')
  await append(used, 'B')
  await expect.poll(() => opened).toEqual([1, 2])
  await touch(snapshots, used)
  expect(opened).toEqual([1, 2])
})

test('of several versions that come quickly the newest is opened, one at a time', async () => {
  const model = await newModel()
  const { snapshots, opened, mostAtOnce, holdUp } = openApiProcess()
  await append(model, 'A')
  await touch(snapshots, model)
  const letOn = holdUp()
  for (const order of ['B', 'C', 'D', 'E', 'F']) await append(model, order)
  letOn()
  await expect.poll(() => opened.at(-1)).toBe(6)
  expect(opened.length).toBeLessThan(5)
  expect(mostAtOnce()).toBe(1)
})

test('who reads right after his write reads it, while its version is still being opened', async () => {
  const model = await newModel()
  const { snapshots, holdUp } = openApiProcess()
  await append(model, 'A')
  await touch(snapshots, model)
  const letOn = holdUp()
  const { version } = await append(model, 'B')
  const reading = snapshots.acquire(model, null, 0)
  letOn()
  const open = await reading
  expect(open.version.version).toBe(version)
  open.release()
})

test(`${READS} reads during ${PUBLISHES} publishes: no error, never an older version, each page and count of one version`, {
  timeout: 600_000,
}, async () => {
  const model = await newModel()
  await append(model, 'first')
  const { snapshots } = managed
  // The readers keep step with the writer, so that every version has its share of them.
  let published = 1
  let step = Promise.withResolvers<void>()
  const publishing = (async () => {
    while (published < PUBLISHES) {
      await append(model, `${published + 1}`)
      published++
      step.resolve()
      step = Promise.withResolvers()
    }
  })()
  let reads = 0
  const versions = new Set<number>()
  const client = async () => {
    let seen = 0
    while (reads < READS) {
      if (reads >= (published * READS) / PUBLISHES) {
        await step.promise
        continue
      }
      const { version, reader, release } = await snapshots.acquire(model, null, 0)
      try {
        expect(version.version).toBeGreaterThanOrEqual(seen)
        seen = version.version
        versions.add(seen)
        const orderBy = [{ column: 'orderId', direction: 'ASC', nulls: 'LAST' } as const]
        const plan = { table: 'sales', columns: ['orderId'], where: ALL, orderBy, limit: 1000 }
        const [rows, count] = await Promise.all([reader.rows(plan), reader.count('sales', ALL)])
        // Each version has one sale more than the one before.
        expect([rows.length, Number(count)]).toEqual([seen, seen])
        reads += 2
      } finally {
        release()
      }
    }
  }
  await Promise.all([publishing, ...Array.from({ length: CLIENTS }, client)])
  expect(await managed.models.get(model)).toMatchObject({ version: PUBLISHES })
  expect(versions.size).toBeGreaterThan(PUBLISHES / 2)
  const newest = await snapshots.acquire(model, null, 0)
  expect(newest.version.version).toBe(PUBLISHES)
  newest.release()
})
