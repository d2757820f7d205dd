import { randomUUID } from 'node:crypto'

// S3 takes 1024 bytes for prefix and key together, a file system 255 for one name.
const MAX_KEY_BYTES = 800
const MAX_SEGMENT_BYTES = 255
const TEMP_NAME = /^\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/
// S3 lists keys as XML, which cannot hold these.
const UNLISTABLE = /[\p{Cc}\uFFFE\uFFFF]/u

/** A name for a file that is not whole yet. It is never a key, and `isTempName` tells it from all others. */
export function tempName(): string {
  return `.${randomUUID()}.tmp`
}

export function isTempName(name: string): boolean {
  return TEMP_NAME.test(name)
}

function problem(key: string): string | null {
  if (!key.isWellFormed()) return 'is not well-formed Unicode'
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `is longer than ${MAX_KEY_BYTES} bytes`
  if (UNLISTABLE.test(key)) return 'has a control character'
  for (const segment of key.split('/')) {
    if (segment === '') return 'is absolute or has an empty segment'
    if (segment === '.' || segment === '..') return `has a segment '${segment}'`
    if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) return `has a segment longer than ${MAX_SEGMENT_BYTES} bytes`
    if (isTempName(segment)) return 'has the name of an unfinished file'
  }
  return null
}

/** The key itself, or a plain Error: keys are made by code, so a bad one is a fault of that code. */
export function checkedKey(key: string): string {
  const wrong = problem(key)
  if (wrong !== null) throw new Error(`Object key ${JSON.stringify(key)} ${wrong}`)
  return key
}

/** As `checkedKey`, for the beginning of keys: it may be empty or end in '/'. */
export function checkedPrefix(prefix: string): string {
  if (prefix !== '') checkedKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
  return prefix
}

/** As `checkedPrefix`, for a prefix that is about to be deleted. */
export function checkedFolder(prefix: string): string {
  if (!prefix.endsWith('/')) throw new Error(`Object prefix ${JSON.stringify(prefix)} does not end in '/'`)
  return checkedPrefix(prefix)
}

/** `[start, end)` with its defaults, or a plain Error where it is none. */
export function checkedRange({
  start = 0,
  end = Number.POSITIVE_INFINITY,
}: {
  start?: number | undefined
  end?: number | undefined
}): { start: number; end: number } {
  if (
    !Number.isSafeInteger(start) ||
    start < 0 ||
    !(end >= start) ||
    !(Number.isSafeInteger(end) || end === Infinity)
  ) {
    throw new Error(`[${start}, ${end}) is no range of bytes`)
  }
  return { start, end }
}
