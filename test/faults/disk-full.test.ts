import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import type { Managed } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { type OnDisk, onDisk, openOnDisk, smallDisk } from '../support/small-disk.ts'
import { trialsOn } from '../support/trials.ts'

const disk = smallDisk(48)

test.skipIf(!disk)(
  onDisk(disk, 'a full disk blocks the model, says so, and fails no intent; the last version is served meanwhile'),
  async () => {
    await using managed = await openOnDisk(disk, { kindsDir: TRIAL_KINDS })
    const { append, entries, newModel, until } = trialsOn(managed)
    const model = await newModel()
    await managed.startManager().hold(model)
    await managed.ended((await append(model, 'A')).id)

    const makeRoom = await managed.disk.fill()
    const intent = await append(model, 'B')
    await until(model, async () => (await managed.models.get(model))?.blocked != null)
    expect(await managed.models.managers([model])).toMatchObject([
      { state: 'BLOCKED', reason: { code: 'UNAVAILABLE', message: 'The disk is full.' } },
    ])
    expect(await managed.ledger.intent(intent.id)).toMatchObject({ status: 'QUEUED', attempts: 0 })
    expect(await entries(model)).toEqual(['A'])

    await makeRoom()
    expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
    expect(await entries(model)).toEqual(['A', 'B'])
    expect(await managed.models.get(model)).toMatchObject({ blocked: null, retryAt: null })
  },
)

const ROWS = 2_000
const KIB = 1024
/** So much is left on the disk: nothing at all, room for a part of the change, for all of it and a part of the version … */
const LEFT = [0, 512, 1024, 1280, 1408, 1536, 1664, 1920, 2304].map(kib => kib * KIB)
/** Rows that cannot be compressed. */
const randomRows = () =>
  Array.from({ length: ROWS }, (_, order) =>
    sale({ orderId: `${order}`, productId: randomBytes(400).toString('base64') }),
  )

test.skipIf(!disk)(
  onDisk(
    disk,
    'a disk that is full at whichever step of making a version blocks the model, and it goes on when there is room',
  ),
  { timeout: 240_000 },
  async () => {
    await using managed = await openOnDisk(disk)
    const { id: model } = await managed.models.create({ kind: 'sales' })
    await managed.startManager().hold(model)
    await managed.run(model, 'appendSales', { rows: randomRows() })
    const after = (change: string, left: number, rows: ReturnType<typeof sale>[]) =>
      withLittleRoom(managed, model, left, { model, function: change, arguments: { rows } })
    const blockedWith: number[] = []
    for (const left of LEFT) {
      // Every row is another, so that a new base is due: the log is written, the file, and the base.
      const rows = randomRows()
      if (await after('upsertSales', left, rows)) blockedWith.push(left)
      expect(await newest(managed, model)).toMatchObject({ rows: ROWS, with: rows[0]?.productId })
    }
    // An old version that goes meanwhile makes room too, so which of them it is cannot be said beforehand.
    expect(blockedWith.length).toSatisfy(blocked => blocked > 0 && blocked < LEFT.length)
    // The log has room on its last page for one row more, and the version's copy of it has none; unless an old version goes.
    let [more, isBlocked] = [0, false]
    for (; !isBlocked; more++) isBlocked = await after('appendSales', 0, [sale({ orderId: `more ${more}` })])
    expect(await newest(managed, model)).toMatchObject({ rows: ROWS + more })
  },
)

/**
 * Submits an intent while no more than `left` bytes can be written, and makes room when it has ended or the model is blocked;
 * whether it was. It is published all the same, and meanwhile the version before it is read.
 */
async function withLittleRoom(
  managed: OnDisk,
  model: string,
  left: number,
  submission: Parameters<Managed['submitter']['submit']>[0],
): Promise<boolean> {
  const before = await newest(managed, model)
  const makeRoom = await managed.disk.fill(left)
  const intent = await managed.submitter.submit(submission)
  const state = async () => {
    const [is, ledger] = [await managed.models.get(model), await managed.ledger.intent(intent.id)]
    return { blocked: is?.blocked ?? null, hasEnded: ledger?.endedAt != null }
  }
  let seen = await state()
  const isSeen = async () => {
    seen = await state()
    return seen.hasEnded || seen.blocked !== null
  }
  expect(await comesTrue(isSeen)).toBe(true)
  const { blocked } = seen
  if (blocked) {
    expect(blocked).toMatchObject({ message: 'The disk is full.' })
    const meanwhile = await newest(managed, model)
    // An old version that goes makes room, with which it may be tried again at any moment.
    if (!(await state()).hasEnded) expect(meanwhile).toEqual(before)
  }
  await makeRoom()
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: before.version + 1 })
  return blocked !== null
}

/** What readers see: the version, how many rows it has, and the product of the first. */
async function newest({ snapshots }: Managed, model: string) {
  const { version, reader, release } = await snapshots.acquire(model, null, 0)
  try {
    const where = { is: 'and' as const, of: [] }
    const orderBy = [{ column: 'orderId', direction: 'ASC' as const, nulls: 'LAST' as const }]
    const [row] = await reader.rows({ table: 'sales', columns: ['productId'], where, orderBy, limit: 1 })
    return { version: version.version, rows: Number(await reader.count('sales', where)), with: row?.productId }
  } finally {
    release()
  }
}
