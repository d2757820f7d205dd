import { rm } from 'node:fs/promises'
import type { ImportSource, SnapshotRef, Work } from '../engine/engine.ts'
import type { ImportFormat } from '../engine/files.ts'
import type { Kind } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { changeOf, type ImportArguments, type IntentFunction, intentFunctions, readRequests } from './functions.ts'
import { stepReporter } from './progress.ts'
import { filesOfReads, importPath, pinReads, readModels } from './reads.ts'
import type { Intent } from './records.ts'

/** One intent made ready: work for the engine, or refused before the engine saw it. */
export type PreparedItem = { is: 'work'; work: Work } | { is: 'refused'; error: Error }

/** A batch made ready; disposing it removes the files that were fetched for it. */
export interface Prepared extends AsyncDisposable {
  items: PreparedItem[]
}

export interface WorkDeps {
  db: Database
  objects: ObjectStore
  /** The versions of other models that an intent reads. */
  reads(fn: IntentFunction, intent: Intent): Promise<SnapshotRef[]>
  /** Where the steps of an intent are told. */
  report(intent: Intent): Work['onStep']
}

/** An intent of a line: what it reads is written down before it is applied, and its steps are for those who watch. */
export const forTheLine = (deps: { db: Database; objects: ObjectStore; dataDir: string; epoch: number }): WorkDeps => ({
  ...deps,
  reads: (fn, intent) => snapshotsFor(deps, fn, intent),
  report: intent => stepReporter(deps.db, intent),
})

/**
 * Makes a batch ready, one item per intent in its order: the versions it reads are found, uploads are fetched. What an intent itself got wrong is a refusal; a fault of the surroundings (UNAVAILABLE) is thrown.
 */
export async function prepareWork(
  deps: WorkDeps,
  kind: Kind,
  batch: readonly Intent[],
  scratch: string,
  signal: AbortSignal,
): Promise<Prepared> {
  const fetched: string[] = []
  const remove = async () => {
    for (const path of fetched) await rm(path, { force: true })
  }
  try {
    const items: PreparedItem[] = []
    for (const intent of batch) items.push(await prepare(deps, kind, intent, { scratch, signal, fetched }))
    return { items, [Symbol.asyncDispose]: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

interface Place {
  scratch: string
  signal: AbortSignal
  fetched: string[]
}

async function prepare(deps: WorkDeps, kind: Kind, intent: Intent, place: Place): Promise<PreparedItem> {
  try {
    const fn = intentFunctions(kind).get(intent.function)
    if (!fn) throw new TeatreeError('KIND_CHANGED', `Kind ${kind.name} no longer has the function ${intent.function}.`)
    const report = deps.report(intent)
    const snapshots = await deps.reads(fn, intent)
    const file = await fileFor(deps, fn, intent, place)
    return {
      is: 'work',
      work: {
        intentId: intent.id,
        seq: intent.seq,
        submittedAt: intent.submittedAt,
        change: changeOf(kind, fn, intent.arguments, snapshots, file),
        signal: place.signal,
        onStep: report,
      },
    }
  } catch (error) {
    if (error instanceof TeatreeError && error.code !== 'UNAVAILABLE') return { is: 'refused', error }
    throw error
  }
}

async function snapshotsFor(
  { db, dataDir, epoch }: { db: Database; dataDir: string; epoch: number },
  fn: IntentFunction,
  intent: Intent,
): Promise<SnapshotRef[]> {
  if (fn.is === 'write' && fn.way !== 'import') return []
  const reads = await readModels(db, intent.model)
  const requests = readRequests(fn, intent.arguments, reads)
  // A scenario begins as a copy of a model that it need not go on reading.
  const allowed = fn.is === 'copy' ? requests.map(({ model }) => ({ id: model })) : reads
  if (requests.length === 0) return []
  const of = { model: intent.model, epoch, intent: intent.id, requests, reads: allowed }
  return filesOfReads(db, await pinReads(db, dataDir, of))
}

async function fileFor(
  deps: WorkDeps,
  fn: IntentFunction,
  intent: Intent,
  place: Place,
): Promise<Extract<ImportSource, { is: 'file' }> | null> {
  if (fn.is !== 'write' || fn.way !== 'import') return null
  const { upload } = (intent.arguments as unknown as ImportArguments).source
  if (!upload) return null
  const [found] = await deps.db.query<{ key: string; format: ImportFormat; bytes: bigint; sha256: string }>(
    'SELECT key, format, bytes, sha256 FROM upload WHERE id = $1',
    [upload.id],
  )
  if (!found) throw new TeatreeError('UPLOAD_NOT_FOUND', `There is no upload ${upload.id}; upload the file again.`)
  const path = importPath(place.scratch, intent.id, found.format)
  place.fetched.push(path)
  await deps.objects.getFile(found.key, path, {
    expect: { bytes: Number(found.bytes), sha256: found.sha256 },
    signal: place.signal,
  })
  return { is: 'file', path, format: found.format }
}
