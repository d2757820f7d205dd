import { blockAt } from '../../engine/blocks.ts'
import type { PulledManifest } from '../../jobs/offline/pulled-version.ts'
import { eachAtOnce } from '../../platform/each-at-once.ts'
import type { PartFile } from './part-file.ts'
import { Patience, type PatienceOptions } from './patience.ts'
import { Interrupted, type Ranges } from './ranges.ts'

/** How much one request may ask for. */
const MAX_RANGE_BYTES = 32 * 2 ** 20

/** Blocks `[first, last]`, which lie side by side. */
interface Stretch {
  first: number
  last: number
}

export interface FetchOptions {
  manifest: PulledManifest
  missing: readonly number[]
  ranges: Ranges
  part: PartFile
  signal: AbortSignal
  patience?: PatienceOptions | undefined
  /** Told what came over the wire. */
  onBytes(bytes: number): void
  /** Told of each block that was verified and written. */
  onBlock(): void
}

/**
 * Fetches blocks into their places, neighbours in one request, each verified before it is written. A connection that
 * breaks is made again from the byte that it broke at.
 */
export async function fetchBlocks(options: FetchOptions): Promise<void> {
  const stretches = stretchesOf(options.manifest, options.missing)
  await eachAtOnce(stretches, options.signal, (stretch, signal) => fetchStretch({ ...options, signal }, stretch))
}

export function stretchesOf(manifest: PulledManifest, missing: readonly number[]): Stretch[] {
  const most = Math.floor(MAX_RANGE_BYTES / manifest.blockSize)
  const stretches: Stretch[] = []
  for (const index of missing) {
    const stretch = stretches.at(-1)
    if (stretch && stretch.last === index - 1 && index - stretch.first < most) stretch.last = index
    else stretches.push({ first: index, last: index })
  }
  return stretches
}

async function fetchStretch(options: FetchOptions, { first, last }: Stretch): Promise<void> {
  const { manifest, ranges, part, signal, onBytes, onBlock } = options
  const patience = new Patience({ ...options.patience, signal })
  const block = new Filling()
  const { end } = blockAt(manifest, last)
  for (let index = first; index <= last; ) {
    try {
      const { start } = blockAt(manifest, index)
      for await (const chunk of ranges.read(start + block.bytes, end, signal)) {
        onBytes(chunk.length)
        let rest = chunk
        while (rest.length > 0) {
          const { start, end } = blockAt(manifest, index)
          rest = block.add(rest, end - start)
          if (block.bytes < end - start) continue
          if (!(await part.write(index, block.take()))) {
            ranges.wasWrong()
            throw new Interrupted('a block is not what its checksum says')
          }
          index++
          patience.gotOn()
          onBlock()
        }
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error
      if (block.grew()) patience.gotOn()
      await patience.failed(error, GAVE_UP)
    }
  }
}

export const GAVE_UP = 'the download broke off too often; run the same command again, and it goes on from here'

/** A block as far as it has come. */
class Filling {
  #parts: Uint8Array[] = []
  #seen = 0
  bytes = 0

  /** Takes what belongs to a block of `size` bytes; answers with what is behind it. */
  add(chunk: Uint8Array, size: number): Uint8Array {
    const part = chunk.subarray(0, size - this.bytes)
    this.#parts.push(part)
    this.bytes += part.length
    return chunk.subarray(part.length)
  }

  take(): Uint8Array {
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.bytes = 0
    this.#seen = 0
    return bytes
  }

  /** Whether it has got on since this was last asked. */
  grew(): boolean {
    const grew = this.bytes > this.#seen
    this.#seen = this.bytes
    return grew
  }
}
