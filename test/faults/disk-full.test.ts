import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { trialsOn } from '../support/trials.ts'

/** A small disk of its own, where this user may have one. */
const folder = mkdtempSync(join(tmpdir(), 'teatree-disk-'))
const disk = mount(folder)
afterAll(() => {
  if (disk) execFileSync('umount', ['--lazy', disk])
  rmSync(folder, { recursive: true, force: true })
})

function mount(path: string): string | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', path], { stdio: 'ignore' })
    return path
  } catch {
    return null
  }
}

const where = disk ? '' : ' (skipped: this user cannot mount a small disk)'

test.skipIf(!disk)(
  `a full disk blocks the model, says so, and fails no intent; the last version is served meanwhile${where}`,
  async () => {
    const store = mkdtempSync(join(tmpdir(), 'teatree-store-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(store, { recursive: true, force: true }))
    const managed = stack.use(
      await openManaged({ kindsDir: TRIAL_KINDS, dataDir: folder, storeUrl: pathToFileURL(store).href }),
    )
    const { append, entries, newModel, until } = trialsOn(managed)
    const model = await newModel()
    await managed.startManager().hold(model)
    await managed.ended((await append(model, 'A')).id)

    const { bsize, bavail } = await statfs(folder)
    const filler = join(folder, 'filler')
    await writeFile(filler, Buffer.alloc(bsize * bavail))
    const intent = await append(model, 'B')
    await until(model, async () => (await managed.models.get(model))?.blocked != null)
    expect(await managed.models.managers([model])).toMatchObject([
      { state: 'BLOCKED', reason: { code: 'UNAVAILABLE', message: 'The disk is full.' } },
    ])
    expect(await managed.ledger.intent(intent.id)).toMatchObject({ status: 'QUEUED', attempts: 0 })
    expect(await entries(model)).toEqual(['A'])

    await rm(filler)
    expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
    expect(await entries(model)).toEqual(['A', 'B'])
    expect(await managed.models.get(model)).toMatchObject({ blocked: null, retryAt: null })
  },
)

const ROWS = 10_000
const KIB = 1024
/** So much is left on the disk: nothing at all, room for a part of the change, for all of it and a part of the version … */
const LEFT = [0, 1024, 1408, 1664, 1920, 2304].map(kib => kib * KIB)
/** Rows that cannot be compressed. */
const randomRows = () =>
  Array.from({ length: ROWS }, (_, order) =>
    sale({ orderId: `${order}`, productId: randomBytes(80).toString('base64') }),
  )

test.skipIf(!disk)(
  `a disk that is full at whichever step of making a version blocks the model, and it goes on when there is room${where}`,
  { timeout: 240_000 },
  async () => {
    const store = mkdtempSync(join(tmpdir(), 'teatree-store-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(store, { recursive: true, force: true }))
    const managed = stack.use(await openManaged({ dataDir: folder, storeUrl: pathToFileURL(store).href }))
    const { id: model } = await managed.models.create({ kind: 'sales' })
    await managed.startManager().hold(model)
    await managed.run(model, 'appendSales', { rows: randomRows() })
    const after = (change: string, left: number, rows: ReturnType<typeof sale>[]) =>
      withLittleRoom(managed, model, left, { model, function: change, arguments: { rows } })
    let blocked = 0
    for (const left of LEFT) {
      // Every row is another, so that a new base is due: the log is written, the file, and the base.
      const rows = randomRows()
      if (await after('upsertSales', left, rows)) blocked += 1
      expect(await newest(managed, model)).toMatchObject({ rows: ROWS, with: rows[0]?.productId })
    }
    expect(blocked).toBeGreaterThan(2)
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
  managed: Managed,
  model: string,
  left: number,
  submission: Parameters<Managed['submitter']['submit']>[0],
): Promise<boolean> {
  const before = await newest(managed, model)
  const { bsize, bavail } = await statfs(folder)
  const filler = join(folder, 'filler')
  // The archive may take room at the same time: then there is less left.
  await writeFile(filler, Buffer.alloc(Math.max(0, bsize * bavail - left))).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOSPC') throw error
  })
  const intent = await managed.submitter.submit(submission)
  const state = async () => {
    const [is, ledger] = [await managed.models.get(model), await managed.ledger.intent(intent.id)]
    return ledger?.endedAt ? 'ended' : is?.blocked ? 'blocked' : 'under way'
  }
  await expect.poll(state, { timeout: 30_000 }).not.toBe('under way')
  const isBlocked = (await state()) === 'blocked'
  if (isBlocked) {
    expect(await managed.models.get(model)).toMatchObject({ blocked: { message: 'The disk is full.' } })
    expect(await newest(managed, model)).toEqual(before)
  }
  await rm(filler)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: before.version + 1 })
  return isBlocked
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
