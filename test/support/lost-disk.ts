import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { SnapshotAt } from '../../src/jobs/snapshots.ts'
import { Snapshots } from '../../src/jobs/snapshots.ts'
import { comesTrue } from './comes-true.ts'
import { quiet } from './control.ts'
import { type Managed, type ManagedOptions, openManaged } from './managed.ts'
import { rowsOf } from './rows-of.ts'

/** The jobs with a data directory that can be lost, and a store that stays; a store of files, unless one is given. */
export interface Losable extends Managed {
  /** Removes all that is in the data directory. Managers have to be closed. */
  loseDisk(): Promise<void>
  /** Every cell of a version of a model, as one who has just come reads it. */
  rows(model: string, at?: SnapshotAt, waitMs?: number): ReturnType<typeof rowsOf>
  /** Waits until the newest version is archived. */
  archived(model: string): Promise<void>
  /** Nothing of the model can be put into the store of files, until the answer is called. */
  withoutStore(model: string): Promise<() => Promise<void>>
}

export async function openLosable(options: ManagedOptions = {}): Promise<Losable> {
  const stack = new AsyncDisposableStack()
  const root = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-losable-')), path => rm(path, { recursive: true }))
  const [dataDir, store] = [join(root, 'data'), join(root, 'store')]
  const managed = stack.use(await openManaged({ dataDir, storeUrl: pathToFileURL(store).href, ...options }))
  const { completions, db, engines, kinds, models } = managed
  return {
    ...managed,
    loseDisk: () => rm(dataDir, { recursive: true }),
    async rows(model, at, waitMs = 40_000) {
      const snapshots = new Snapshots({ db, kinds, engines, completions, dataDir, log: quiet })
      try {
        const { reader } = await snapshots.acquire(model, at ?? null, waitMs)
        const kind = kinds.get((await models.get(model))?.kind ?? '')
        if (!kind) throw new Error('the kind is not known')
        return await rowsOf(reader, kind)
      } finally {
        await snapshots.close()
      }
    },
    async archived(model) {
      const isArchived = async () => (await models.managers([model]))[0]?.archiveLag === 0
      if (!(await comesTrue(isArchived, 40_000))) throw new Error(`${model} was not archived`)
    },
    async withoutStore(model) {
      const folder = join(store, model)
      const aside = join(root, `${model}-aside`)
      await rename(folder, aside)
      // Where the folder should be, there is none to be had.
      await writeFile(folder, '')
      return async () => {
        await rm(folder)
        await rename(aside, folder)
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
