/** The bytes `[start, end)` of a file. */
export interface ByteRange {
  start: number
  end: number
}

/**
 * What a Range header asks for of a file of so many bytes: a range, null for the whole file (no range, several of them,
 * or none that can be read: RFC 9110 has those ignored), or 'unsatisfiable'.
 */
export function readRange(header: string | undefined, bytes: number): ByteRange | 'unsatisfiable' | null {
  const [, first = '', last = ''] = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '') ?? []
  if (first === '' && last === '') return null
  const range =
    first === ''
      ? { start: Math.max(0, bytes - Number(last)), end: bytes }
      : { start: Number(first), end: last === '' ? bytes : Math.min(bytes, Number(last) + 1) }
  if (last !== '' && first !== '' && Number(last) < Number(first)) return null
  return range.start < range.end ? range : 'unsatisfiable'
}

/** Whether an If-None-Match header names the entity tag. */
export function namesTag(header: string | undefined, tag: string): boolean {
  return (header ?? '').split(',').some(entry => ['*', tag, `W/${tag}`].includes(entry.trim()))
}
