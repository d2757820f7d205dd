import { statfs } from 'node:fs/promises'
import { blockAt } from '../../engine/blocks.ts'
import type { PulledFolder } from '../../jobs/offline/pulled-folder.ts'
import type { PulledManifest } from '../../jobs/offline/pulled-version.ts'
import { UsageError } from '../../platform/errors.ts'
import type { Server } from '../client.ts'
import { bringFiles } from './bring-files.ts'
import { fetchBlocks } from './fetch-blocks.ts'
import { isWhole, PartFile, removeParts } from './part-file.ts'
import type { PatienceOptions } from './patience.ts'
import { Ranges } from './ranges.ts'
import type { RemoteFile, RemoteVersion } from './remote-version.ts'

export interface BringOptions {
  folder: PulledFolder
  server: Server
  signal: AbortSignal
  patience?: PatienceOptions | undefined
  /** Told what came over the wire. */
  onBytes(bytes: number): void
  report(step: string, share: number | null): void
}

/** A disk that does not keep what was written to it is not tried for ever. */
const MAX_ROUNDS = 3

/**
 * Brings a version to be there, from what is there of it already, from the blocks of other versions, and over the wire.
 * A version that was not asked for by its number takes the place of the one before that was not either.
 */
export async function bringVersion(remote: RemoteVersion, options: BringOptions): Promise<void> {
  const { details } = remote
  const { folder } = options
  await folder.removeReplaced(details.model.id)
  const there = await folder.versions(details.model.id)
  await (remote.is === 'files' ? bringFiles(remote, options) : bringFile(remote, options))
  for (const older of there)
    if (!details.byNumber && !older.byNumber && older.version !== details.version) await folder.remove(older)
  await removeParts(folder, details.model.id)
}

async function bringFile(remote: RemoteFile, options: BringOptions): Promise<void> {
  const { details, manifest } = remote
  const { folder } = options
  const there = await folder.versions(details.model.id)
  const same = there.find(
    ({ version, content }) => version === details.version && content.sha256 === details.content.sha256,
  )
  if (same && (await isWhole(same.path, manifest)))
    await folder.note({ ...details, byNumber: same.byNumber || details.byNumber })
  else await folder.add(await fetchPart(remote, options), details, manifest)
}

/** The path of the file, whole and on disk under another name. */
async function fetchPart({ details, manifest, url }: RemoteFile, options: BringOptions): Promise<string> {
  const { folder, report } = options
  const model = details.model.id
  await using part = await PartFile.begin(folder, model, manifest)
  report('look at what is there', null)
  let missing = await part.missing()
  for (const from of await folder.versions(model)) {
    if (missing.length > 0) missing = await part.copyFrom(folder, from, missing)
  }
  await checkRoom(folder.modelDir(model), sizeOf(manifest, missing))
  const ranges = new Ranges(options.server, { url, ...details.content })
  let done = manifest.blocks.length - missing.length
  const onBlock = () => report('fetch', ++done / manifest.blocks.length)
  for (let round = 1; round === 1 || missing.length > 0; round++) {
    if (round > MAX_ROUNDS) throw new UsageError('the disk does not keep what is written to it')
    await fetchBlocks({ ...options, manifest, missing, ranges, part, onBlock })
    // What was fetched, or copied, is read back.
    report('verify', null)
    missing = await part.missing()
  }
  await part.sync()
  return part.path
}

const sizeOf = (manifest: PulledManifest, blocks: readonly number[]): number =>
  blocks.reduce((sum, index) => {
    const { start, end } = blockAt(manifest, index)
    return sum + end - start
  }, 0)

/** @throws UsageError where so many bytes have no room */
export async function checkRoom(dir: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  if (bavail * bsize < needed)
    throw new UsageError(`${dir} has ${bavail * bsize} bytes free, and ${needed} are to be fetched; make room`)
}
