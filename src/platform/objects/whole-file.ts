import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errno } from '../errno.ts'
import { syncPath } from '../sync-path.ts'
import { diskFault } from './disk-fault.ts'
import { tempName } from './keys.ts'

async function onDisk<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation
  } catch (error) {
    throw diskFault(error)
  }
}

/** Makes `folder` and those above it, and sees that their names outlast a power cut: a name is in its parent's blocks. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncPath(dirname(made))
}

async function openNew(path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    await makeFolder(dirname(path))
    try {
      return await open(path, 'wx')
    } catch (error) {
      // An empty folder may be swept away between the two calls.
      if (errno(error) !== 'ENOENT' || attempt === 5) throw error
    }
  }
}

/**
 * Writes `chunks` as the file `path`, whole or not at all: a temporary name in the same folder, fsync, rename, fsync of
 * the folder. Missing folders are made. Fails with UNAVAILABLE where the disk is at fault, else with the error of `chunks`.
 */
export async function writeWholeFile(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const temp = join(dirname(path), tempName())
  const file = await onDisk(openNew(temp))
  try {
    for await (const chunk of chunks) await onDisk(file.writeFile(chunk))
    await onDisk(file.sync())
    await onDisk(file.close())
    await onDisk(rename(temp, path))
  } catch (error) {
    await file.close().catch(() => {})
    await rm(temp, { force: true }).catch(() => {})
    throw error
  }
  await onDisk(syncPath(dirname(path)))
}
