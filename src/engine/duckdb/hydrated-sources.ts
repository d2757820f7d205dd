import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kinds } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { isOnArrow } from '../arrow/manifest.ts'
import type { ArchivedVersion, SnapshotRef } from '../engine.ts'
import { restoreModel } from './restore.ts'

/** A version of another model, and which of its tables are read; all where that is not known. */
export interface WantedSource {
  ref: SnapshotRef
  tables?: readonly string[] | undefined
}

/** A version that DuckDB can read: by its files, or of one on Arrow, by Parquet files of its tables. */
export type ReadableSource = SnapshotRef & { parquets?: Readonly<Record<string, readonly string[]>> }

interface SourcesContext {
  kinds: Kinds
  dir: string
  signal: AbortSignal
}

/**
 * The versions to be attached: of one on Arrow the tables become Parquet, which is gone with what is answered.
 * @throws TeatreeError UNKNOWN_KIND, KIND_CHANGED
 * @throws SourceDamaged
 */
export const readableSources = (
  wanted: readonly WantedSource[],
  context: SourcesContext,
): Promise<{ refs: ReadableSource[] } & AsyncDisposable> =>
  converted(wanted, context, async (ref, { tables }) => {
    const parquets = Object.fromEntries(Object.entries(tables).map(([name, { path }]) => [name, [path]]))
    return { ...ref, files: {}, parquets }
  })

/** The same as files of DuckDB, to begin a model with. */
export const hydratedSources = (
  wanted: readonly WantedSource[],
  context: SourcesContext,
): Promise<{ refs: SnapshotRef[] } & AsyncDisposable> =>
  converted(wanted, context, async (ref, archived, folder) => {
    const made = join(folder, 'made')
    const { files } = await restoreModel(archived, made, { signal: context.signal })
    return {
      ...ref,
      files: Object.fromEntries(files.map(({ name }) => [name, join(made, name)])),
      checksums: undefined,
    }
  })

async function converted<R extends SnapshotRef>(
  wanted: readonly WantedSource[],
  { kinds, dir, signal }: SourcesContext,
  convert: (ref: SnapshotRef, archived: ArchivedVersion, folder: string) => Promise<R>,
): Promise<{ refs: (SnapshotRef | R)[] } & AsyncDisposable> {
  const folders: string[] = []
  const release = async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
  }
  try {
    const refs: (SnapshotRef | R)[] = []
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
      // Loaded by those alone who read a version on Arrow.
      const { archiveArrow } = await import('../arrow/version-archive.ts')
      signal.throwIfAborted()
      refs.push(await convert(ref, await archiveArrow(ref, kind, folder, tables), folder))
    }
    return { refs, [Symbol.asyncDispose]: release }
  } catch (error) {
    await release()
    throw error
  }
}
