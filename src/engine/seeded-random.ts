import { hash } from 'node:crypto'

/**
 * Uniform numbers in [0, 1) with 53 random bits, the same ones for the same seed, on every machine and engine: sfc32
 * (Chris Doty-Humphrey's Small Fast Counter, of PractRand) begun from the SHA-256 of the seed. Not for secrets.
 */
export function seededRandom(seed: string): () => number {
  const digest = hash('sha256', seed, 'buffer')
  let a = digest.readUInt32LE(0)
  let b = digest.readUInt32LE(4)
  let c = digest.readUInt32LE(8)
  let counter = 1
  const next = (): number => {
    const out = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + out) | 0
    return out >>> 0
  }
  // The first numbers still show the seed.
  for (let round = 0; round < 12; round++) next()
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53
}
