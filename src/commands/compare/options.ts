import type { Kind, Kinds } from '../../kinds/kind.ts'
import { UsageError } from '../../platform/errors.ts'
import { callsFor, type FunctionCalled } from './functions.ts'

/** As the command line gives them. */
export interface CompareOptions {
  kind: string
  function: string
  arguments?: string
  rows: string
  memory?: string
  json?: boolean
}

export interface Comparison {
  kind: Kind
  calls: readonly FunctionCalled[]
  /** Each is compared by itself. */
  rows: readonly number[]
  memoryBytes: number | null
}

/** The kind for which there are made-up data, and a model to read them of. */
const KIND = 'goals'
const ROWS = { min: 1000, max: 200_000_000 }
const MIN_MEMORY = 256e6
const UNITS: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 }

/** @throws UsageError that names the option; TeatreeError BAD_VALUE that names the function's argument */
export function readOptions(kinds: Kinds, options: CompareOptions): Comparison {
  const kind = kinds.get(options.kind)
  if (!kind || kind.name !== KIND)
    throw new UsageError(`--kind takes ${KIND}, for which there are made-up data; not ${options.kind}`)
  return {
    kind,
    calls: callsFor(kind, options.function, options.arguments),
    rows: options.rows.split(',').map(readRows),
    memoryBytes: options.memory === undefined ? null : readMemory(options.memory),
  }
}

function readRows(text: string): number {
  const rows = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isInteger(rows) && rows >= ROWS.min && rows <= ROWS.max) return rows
  throw new UsageError(`--rows takes whole numbers from ${ROWS.min} to ${ROWS.max}, like 1e6,1e7; not ${text}`)
}

function readMemory(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMG]i?B)$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * (UNITS[unit.toUpperCase()] ?? Number.NaN))
  if (bytes >= MIN_MEMORY) return bytes
  throw new UsageError(`--memory takes a size of at least ${MIN_MEMORY / 1e6}MB, like 512MB or 2GiB; not ${text}`)
}
