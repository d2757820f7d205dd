import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import type { TableFile } from './manifest.ts'

/** What a manifest says of a file's bytes. */
export type Seal = Pick<TableFile, 'bytes' | 'sha256'>

const READ_BYTES = 1 << 20

/** Of the bytes of a file. */
export async function checksum(path: string): Promise<Seal> {
  const hash = createHash('sha256')
  const { size } = await stat(path)
  await using file = await open(path, 'r')
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size))
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) break
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return { bytes: size, sha256: hash.digest('hex') }
}
