import { hash } from 'node:crypto'
import type { BlockManifest } from './engine.ts'

/** Of the first block; all others but the last have the manifest's `blockSize`. */
export const HEADER_BYTES = 3 * 4096

/** The checksum that stands for the file: of its blocks' checksums, joined by newlines. Hex. */
export const manifestDigest = (blocks: readonly string[]): string => hash('sha256', blocks.join('\n'), 'hex')

export const blockDigest = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')

/** Where the block is in the file: the bytes `[start, end)`. */
export function blockAt({ bytes, blockSize }: BlockManifest, index: number): { start: number; end: number } {
  const start = index === 0 ? 0 : HEADER_BYTES + (index - 1) * blockSize
  return { start, end: Math.min(bytes, index === 0 ? HEADER_BYTES : start + blockSize) }
}

/** How many blocks a file of so many bytes has. */
export const blockCount = (bytes: number, blockSize: number): number =>
  bytes === 0 ? 0 : 1 + Math.max(0, Math.ceil((bytes - HEADER_BYTES) / blockSize))

/** The blocks of a stream that is the whole file, in order. */
export async function* blocksOf(chunks: AsyncIterable<Uint8Array>, blockSize: number): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let missing = HEADER_BYTES
  for await (const chunk of chunks) {
    let rest = chunk
    while (rest.length >= missing) {
      yield Buffer.concat([...parts, rest.subarray(0, missing)])
      rest = rest.subarray(missing)
      parts = []
      missing = blockSize
    }
    if (rest.length > 0) parts.push(rest)
    missing -= rest.length
  }
  if (parts.length > 0) yield Buffer.concat(parts)
}
