import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kinds } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { archiveArrow, isOnArrow } from '../arrow/version-archive.ts'
import type { SnapshotRef } from '../engine.ts'
import { restoreModel } from './restore.ts'

/** A version of another model, and which of its tables are read; all where that is not known. */
export interface WantedSource {
  ref: SnapshotRef
  tables?: readonly string[] | undefined
}

/**
 * The versions as files of DuckDB: those that they have, or of a version on Arrow, files made of its tables, which are gone with
 * what is answered.
 * @throws TeatreeError UNKNOWN_KIND, KIND_CHANGED
 * @throws SourceDamaged
 */
export async function hydratedSources(
  wanted: readonly WantedSource[],
  { kinds, dir, signal }: { kinds: Kinds; dir: string; signal: AbortSignal },
): Promise<{ refs: SnapshotRef[] } & AsyncDisposable> {
  const folders: string[] = []
  const release = async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
  }
  try {
    const refs: SnapshotRef[] = []
    for (const { ref, tables } of wanted) {
      if (!isOnArrow(ref)) {
        refs.push(ref)
        continue
      }
      const kind = kinds.get(ref.kind)
      if (!kind) {
        const what = `model ${ref.model} is of kind ${ref.kind}, which this server does not know`
        throw new TeatreeError('UNKNOWN_KIND', what)
      }
      const folder = await mkdtemp(join(dir, 'source-'))
      folders.push(folder)
      const archived = await archiveArrow(ref, kind, folder, tables)
      const made = join(folder, 'made')
      const { files } = await restoreModel(archived, made, { signal })
      refs.push({
        ...ref,
        files: Object.fromEntries(files.map(({ name }) => [name, join(made, name)])),
        checksums: undefined,
      })
    }
    return { refs, [Symbol.asyncDispose]: release }
  } catch (error) {
    await release()
    throw error
  }
}
