import type { PulledFile } from '../../jobs/offline/pulled-version.ts'
import { type BringOptions, checkRoom } from './bring-version.ts'
import { fetchFiles } from './fetch-files.ts'
import { isWholeFolder, PartFolder } from './part-folder.ts'
import { contentUrl, type RemoteFiles } from './remote-version.ts'

/** Brings the files of a version to be there, as far as no other version that is there has them; where they are not there, whole. */
export async function bringFiles(remote: RemoteFiles, options: BringOptions): Promise<void> {
  const { details, files, manifest } = remote
  const { folder } = options
  const there = await folder.versions(details.model.id)
  const same = there.find(
    ({ version, content }) => version === details.version && content.sha256 === details.content.sha256,
  )
  if (same && (await isWholeFolder(same.path, files, details.content))) {
    await folder.note({ ...details, byNumber: same.byNumber || details.byNumber })
    return
  }
  const part = await fetchPart(remote, options)
  await folder.addFolder(await part.finish(files, manifest), details)
}

async function fetchPart({ details, files }: RemoteFiles, options: BringOptions): Promise<PartFolder> {
  const { folder, report, server } = options
  const { model, version } = details
  const part = await PartFolder.begin(folder, model.id, version)
  report('look at what is there', null)
  // Two tables that hold the same may be the same file.
  const different = [...new Map(files.map(file => [file.sha256, file])).values()]
  let missing = await part.missing(different)
  for (const from of await folder.versions(model.id)) missing = await part.shareWith(folder, from, missing)
  const begun = await Promise.all(missing.map(file => part.begun(file)))
  const total = sizeOf(missing)
  let left = total - begun.reduce((sum, bytes) => sum + bytes, 0)
  await checkRoom(folder.modelDir(model.id), left)
  const onBytes = (bytes: number) => {
    options.onBytes(bytes)
    left -= bytes
    report('fetch', Math.min(1, Math.max(0, 1 - left / total)))
  }
  const urlOf = (name: string) => contentUrl(server, model.id, version, name)
  await fetchFiles(missing, { ...options, part, urlOf, onBytes })
  return part
}

const sizeOf = (files: readonly PulledFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0)
