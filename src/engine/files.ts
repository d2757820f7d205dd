/** What an uploaded file may be. */
export type ImportFormat = 'PARQUET' | 'CSV' | 'NDJSON' | 'ARROW'

/**
 * The format of a file that begins with `head` (some 64 KiB, or all of a shorter file), told from the content alone; null
 * where it is none of the four. It says what the file means to be: whether it is sound to its end shows when it is read.
 */
export function detectFormat(head: Uint8Array): ImportFormat | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  if (bytes.subarray(0, 4).toString('latin1') === 'PAR1') return 'PARQUET'
  if (bytes.subarray(0, 6).toString('latin1') === 'ARROW1' || beginsArrowStream(bytes)) return 'ARROW'
  const text = textOf(bytes)
  if (text === null) return null
  const begin = text.trimStart()
  if (begin.startsWith('{')) return 'NDJSON'
  // a JSON document or markup is text with a first line too, and surely not meant as CSV
  if (begin === '' || /^\[\s*([{[\]]|$)|^<[!?a-z/]/i.test(begin)) return null
  return 'CSV'
}

/** A stream has no magic number: it begins with the continuation mark, the length of its schema, and a table's offset. */
function beginsArrowStream(bytes: Buffer): boolean {
  if (bytes.length < 12 || bytes.readUInt32LE(0) !== 0xffffffff) return false
  const length = bytes.readInt32LE(4)
  return length > 0 && length % 8 === 0 && bytes.readUInt32LE(8) < length
}

/** The bytes as text, without a byte order mark; null where they are no UTF-8 or hold control characters. */
function textOf(bytes: Buffer): string | null {
  try {
    // `stream` lets the last character be cut short, as it may be at the end of the head
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they tell text from what only looks like it
    return /[\0-\x08\x0e-\x1f\x7f]/.test(text) ? null : text
  } catch {
    return null
  }
}
