import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setImmediate as others } from 'node:timers/promises'
import { HEADER_BYTES } from '../blocks.ts'
import { BLOCK_BYTES } from './snapshot-files.ts'

/** The blocks of a database's file that hold something, by their places in it. */
export interface BlocksInUse {
  all: ReadonlySet<number>
  /** Those that a checkpoint may write again where they are; every other it writes to a place that was free. */
  metadata: ReadonlySet<number>
}

/** Every block, and every header, begins with the checksum of what follows. */
const CHECKSUM_BYTES = 8
/** The first header says what file it is; of the two behind it the one with the higher iteration counts. */
const HEADERS_AT = [4096, 8192]
/** Metadata lies in parts of blocks; each begins with a pointer to the next, its block in 56 bits and its place in it. */
const PARTS = 64
const PART_BYTES = 8 * Math.floor((BLOCK_BYTES - CHECKSUM_BYTES) / PARTS / 8)
const NO_POINTER = 2n ** 64n - 1n
/** Some milliseconds. */
const READS_A_TURN = 2048

/**
 * Which blocks of the file are in use, as of the last checkpoint: all but those in its list of free ones. Null where what
 * was found is not of the form that is known, so that nothing can be concluded from it. It costs the same whatever the
 * size of the tables.
 */
export async function blocksInUse(path: string): Promise<BlocksInUse | null> {
  await using file = await open(path, 'r')
  const header = await readHeader(file)
  if (!header) return null
  const { blocks, freeList } = header
  const { size } = await file.stat()
  // Free blocks at the end may have been cut off since.
  const there = Math.min(blocks, Math.ceil((size - HEADER_BYTES) / BLOCK_BYTES))
  const all = new Set(Array.from({ length: there }, (_, block) => block))
  if (freeList === NO_POINTER) return { all, metadata: all }
  const list = await readMetadata(file, freeList, blocks)
  if (!list) return null
  let at = 0
  /** A count, and so many blocks with `more` bytes about each; null where these are none. */
  const readBlocks = (more: number): Set<number> | null => {
    const found = new Set<number>()
    const count = at + 8 <= list.length ? Number(list.readBigUInt64LE(at)) : Number.POSITIVE_INFINITY
    at += 8
    if (at + count * (8 + more) > list.length) return null
    for (let n = 0; n < count; n++, at += 8 + more) found.add(Number(list.readBigUInt64LE(at)))
    return found.size === count && [...found].every(block => block < blocks) ? found : null
  }
  const free = readBlocks(0)
  /** Each with the number of its uses. */
  const shared = free && readBlocks(4)
  /** Each with a bit for each of its parts that is free. */
  const metadata = shared && readBlocks(8)
  if (!free || !shared || !metadata) return null
  if (!metadata.has(blockOf(freeList)) || !free.isDisjointFrom(metadata.union(shared))) return null
  for (let block = there; block < blocks; block++) if (!free.has(block)) return null
  return { all: all.difference(free), metadata }
}

const blockOf = (pointer: bigint): number => Number(pointer & (2n ** 56n - 1n))

async function readHeader(file: FileHandle): Promise<{ blocks: number; freeList: bigint } | null> {
  const bytes = Buffer.alloc(HEADER_BYTES)
  const { bytesRead } = await file.read(bytes, 0, HEADER_BYTES, 0)
  if (bytesRead < HEADER_BYTES) return null
  const [first, second] = HEADERS_AT.map(start => {
    const number = (index: number) => bytes.readBigUInt64LE(start + CHECKSUM_BYTES + index * 8)
    return { iteration: number(0), freeList: number(2), blocks: Number(number(3)), blockBytes: Number(number(4)) }
  })
  if (!first || !second) return null
  const newest = first.iteration > second.iteration ? first : second
  return newest.blockBytes === BLOCK_BYTES ? newest : null
}

/** What is written from the pointer on; null where that leads nowhere. */
async function readMetadata(file: FileHandle, from: bigint, blocks: number): Promise<Buffer | null> {
  const parts: Buffer[] = []
  for (let pointer = from; pointer !== NO_POINTER; ) {
    const place = Number(pointer >> 56n)
    if (blockOf(pointer) >= blocks || place >= PARTS || parts.length > blocks) return null
    const part = Buffer.alloc(PART_BYTES)
    const start = HEADER_BYTES + blockOf(pointer) * BLOCK_BYTES + CHECKSUM_BYTES + place * PART_BYTES
    await file.read(part, 0, PART_BYTES, start)
    pointer = part.readBigUInt64LE(0)
    parts.push(part.subarray(8))
  }
  return Buffer.concat(parts)
}

/**
 * The checksum that each block begins with, 8 bytes a block, in their order. It is the same for a block whose words stand
 * in another order, so it can tell that blocks differ, and never that they are the same.
 */
export async function blockChecksums(path: string): Promise<Buffer> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const sums = Buffer.alloc(Math.max(0, Math.ceil((size - HEADER_BYTES) / BLOCK_BYTES)) * 8)
  // Thousands of reads of 8 bytes: by way of the thread pool they take 30 times as long. The process holds many models,
  // whose turn comes in between.
  for (let at = 0; at < sums.length; at += 8) {
    if (at > 0 && at % (8 * READS_A_TURN) === 0) await others()
    readSync(file.fd, sums, at, 8, HEADER_BYTES + (at / 8) * BLOCK_BYTES)
  }
  return sums
}
