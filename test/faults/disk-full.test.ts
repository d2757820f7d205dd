import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { openManaged } from '../support/managed.ts'
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
