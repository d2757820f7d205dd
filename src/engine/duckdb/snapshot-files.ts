import { hash } from 'node:crypto'
import { constants, copyFile, type FileHandle, link, open, readFile, writeFile } from 'node:fs/promises'
import { syncPath } from '../../platform/sync-path.ts'
import { HEADER_BYTES, manifestDigest } from '../blocks.ts'
import type { BlockManifest } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'

/** DuckDB's, of every block but the headers. */
export const BLOCK_BYTES = 256 * 1024
/** Blocks that are read at once. */
const READ_BLOCKS = 16

/**
 * Copies a database for one's own use, reading it once: as a clone, where the file system can. Nothing is synced.
 * @throws SnapshotDamaged where it is not what its checksum says
 */
export async function copyChecked(from: string, to: string, sha256: string | undefined): Promise<BlockManifest> {
  const manifest = (await cloned(from, to)) ? await blockManifest(to) : await copyReading(from, to)
  checkManifest(manifest, sha256)
  return manifest
}

/** The same of a WAL, whose checksum is that of its bytes. */
export async function copyWalChecked(from: string, to: string, sha256: string | undefined): Promise<void> {
  const bytes = await readFile(from)
  if (sha256 !== undefined && hash('sha256', bytes, 'hex') !== sha256) throw new SnapshotDamaged('a WAL is damaged')
  await writeFile(to, bytes)
}

/** @throws SnapshotDamaged */
export function checkManifest({ blocks }: BlockManifest, sha256: string | undefined): void {
  if (sha256 !== undefined && manifestDigest(blocks) !== sha256) throw new SnapshotDamaged('a database is damaged')
}

/** Reads the file at `path`. */
export async function blockManifest(path: string): Promise<BlockManifest> {
  await using file = await open(path, 'r')
  return await read(file, async () => {})
}

/**
 * Copies the file and syncs the copy to disk: as a clone, where the file system can, else reading it once. Closing the
 * source drops the lock that DuckDB holds on it in this process, on which nothing relies.
 */
export async function copyWithManifest(from: string, to: string): Promise<BlockManifest> {
  if (await cloned(from, to)) {
    const manifest = await blockManifest(to)
    await syncPath(to)
    return manifest
  }
  const manifest = await copyReading(from, to)
  await syncPath(to)
  return manifest
}

async function copyReading(from: string, to: string): Promise<BlockManifest> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'w')
  return await read(source, (bytes, position) => writeWhole(target, bytes, position))
}

/** Gives a file that nothing writes to another name; a copy where the file system has but one for each. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    // What else is wrong, the copy meets too.
    if (error instanceof Error) await copyWithManifest(from, to)
    else throw error
  }
}

/**
 * Brings the file `to`, whose manifest is known, to the bytes of `from` by writing the blocks that changed and the headers,
 * synced. Blocks are counted from behind the headers.
 */
export async function patchWithManifest(
  from: string,
  to: string,
  known: BlockManifest,
  changed: readonly number[],
): Promise<BlockManifest> {
  await using target = await open(to, 'r+')
  const manifest = await updatedManifest(from, known, changed, (bytes, position) => writeWhole(target, bytes, position))
  await target.truncate(manifest.bytes)
  await target.sync()
  return manifest
}

/** The manifest of the file at `path`, which differs from one that is known in the headers and the blocks that changed. */
export async function updatedManifest(
  path: string,
  known: BlockManifest,
  changed: readonly number[],
  each: (bytes: Uint8Array, position: number) => Promise<void> = async () => {},
): Promise<BlockManifest> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const blocks = known.blocks.slice(0, 1 + Math.ceil((size - HEADER_BYTES) / BLOCK_BYTES))
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  const update = async (at: number, position: number, length: number) => {
    const bytes = await readWhole(file, buffer.subarray(0, length), position)
    await each(bytes, position)
    blocks[at] = hash('sha256', bytes, 'hex')
  }
  await update(0, 0, HEADER_BYTES)
  for (const block of changed) await update(block + 1, HEADER_BYTES + block * BLOCK_BYTES, BLOCK_BYTES)
  return { bytes: size, blockSize: BLOCK_BYTES, blocks }
}

/**
 * Copies a file while others write: a clone where the file system can. Else each part is on disk before the next is read:
 * whoever syncs meanwhile would wait for all that a file system has yet to write, and whoever patches the copy too.
 */
export async function copyOutOfTheWay(from: string, to: string): Promise<void> {
  if (await cloned(from, to)) return
  await using source = await open(from, 'r')
  await using target = await open(to, 'w')
  const buffer = Buffer.allocUnsafe(READ_BLOCKS * BLOCK_BYTES)
  for (let position = 0; ; position += buffer.length) {
    const bytes = await readWhole(source, buffer, position)
    if (bytes.length === 0) return
    await writeWhole(target, bytes, position)
    await target.datasync()
  }
}

/** Makes a clone, which costs nothing whatever the size; false where the file system cannot. */
export async function cloned(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch (error) {
    // What else is wrong, the copy that is made instead will meet too.
    if (error instanceof Error) return false
    throw error
  }
}

/** Reads to the end, handing on the bytes in order; digests them while the next are being read. */
async function read(
  file: FileHandle,
  each: (bytes: Uint8Array, position: number) => Promise<void>,
): Promise<BlockManifest> {
  const blocks: string[] = []
  let position = 0
  let length = HEADER_BYTES
  // No larger than the file: memory outside of the heap has V8 collect garbage, and most models are small.
  const { size: fileBytes } = await file.stat()
  const most = BLOCK_BYTES * Math.min(READ_BLOCKS, Math.max(1, Math.ceil(fileBytes / BLOCK_BYTES)))
  let buffers = [Buffer.allocUnsafe(most), Buffer.allocUnsafe(most)] as const
  let bytes = await readWhole(file, buffers[0].subarray(0, length), position)
  while (bytes.length > 0) {
    const at = position
    position += bytes.length
    const size = length === HEADER_BYTES ? HEADER_BYTES : BLOCK_BYTES
    length = most
    const next = readWhole(file, buffers[1].subarray(0, length), position)
    const handed = each(bytes, at)
    for (let start = 0; start < bytes.length; start += size) {
      blocks.push(hash('sha256', bytes.subarray(start, start + size), 'hex'))
    }
    ;[bytes] = await Promise.all([next, handed])
    buffers = [buffers[1], buffers[0]]
  }
  return { bytes: position, blockSize: BLOCK_BYTES, blocks }
}

/** Fills the buffer, and answers with what there was of it. */
export async function readWhole(file: FileHandle, buffer: Buffer, position: number): Promise<Buffer> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

/** Writes all of the bytes. */
export async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}
