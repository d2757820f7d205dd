import { isRecord } from '../../../kinds/values.ts'
import { badLine } from './file-errors.ts'
import { fileWindows, MAX_RECORD_BYTES } from './file-window.ts'

const SAMPLE = 1000

/**
 * The keys of the first lines of an NDJSON file, with a logical type that holds the values seen, and JSON for lists and
 * objects.
 * @throws TeatreeError BAD_FILE where one of these lines is no JSON object
 */
export async function describeNdjson(path: string): Promise<{ name: string; type: string; nullable: boolean }[]> {
  const types = new Map<string, string | null>()
  for (const [index, line] of (await firstLines(path)).entries()) {
    if (line.trim() === '') continue
    for (const [name, value] of Object.entries(objectOf(line, index + 1))) {
      const type = typeOf(value)
      const before = types.get(name) ?? null
      types.set(name, before === null || type === null ? (before ?? type) : together(before, type))
    }
  }
  return [...types].map(([name, type]) => ({ name, type: type ?? 'VARCHAR', nullable: true }))
}

async function firstLines(path: string): Promise<string[]> {
  for await (const { buffer, from, to, final } of fileWindows(path, new AbortController().signal)) {
    const end = final ? to : from + buffer.subarray(from, to).lastIndexOf(0x0a)
    if (end >= from) return buffer.toString('utf8', from, end).split('\n').slice(0, SAMPLE)
    if (to - from > MAX_RECORD_BYTES) throw badLine(1, 'it is longer than 16 MiB')
  }
  return []
}

function objectOf(line: string, number: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    if (isRecord(value)) return value
  } catch {
    throw badLine(number, 'it is no valid JSON')
  }
  throw badLine(number, 'it is no JSON object')
}

function typeOf(value: unknown): string | null {
  if (value === null) return null
  if (typeof value === 'string') return 'VARCHAR'
  if (typeof value === 'boolean') return 'BOOLEAN'
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'BIGINT' : 'DOUBLE'
  return 'JSON'
}

function together(before: string, type: string): string {
  if (before === type) return type
  if (before === 'JSON' || type === 'JSON') return 'JSON'
  return [before, type].every(name => name === 'BIGINT' || name === 'DOUBLE') ? 'DOUBLE' : 'VARCHAR'
}
