import type { Change, ImportMode, ImportSource, SnapshotRef } from '../engine/engine.ts'
import type { WayOfWriting } from '../kinds/definition.ts'
import { type Kind, type KindFunction, names, type Table } from '../kinds/kind.ts'
import type { Row } from '../kinds/types.ts'
import { parseWhere } from '../kinds/where.ts'

/** What an intent's function is: a way of writing a table, a function of the kind, or the copy that begins a scenario. */
export type IntentFunction =
  | { is: 'write'; way: WayOfWriting; table: Table }
  | { is: 'function'; function: KindFunction }
  | { is: 'copy' }

/** The intent that begins a model as a copy of another. */
export const COPY = 'copyFrom'

const known = new WeakMap<Kind, ReadonlyMap<string, IntentFunction>>()

/** The functions that intents on models of this kind can name: the mutations' names. */
export function intentFunctions(kind: Kind): ReadonlyMap<string, IntentFunction> {
  const there = known.get(kind)
  if (there) return there
  const made = new Map<string, IntentFunction>([[COPY, { is: 'copy' }]])
  for (const table of kind.tables.values())
    for (const way of table.writes) made.set(names.write(kind, way, table), { is: 'write', way, table })
  for (const fn of kind.functions.values()) made.set(names.function(kind, fn.name), { is: 'function', function: fn })
  known.set(kind, made)
  return made
}

/** Functions, imports and copies are a batch of their own; other row writes share one. */
export const runsAlone = (fn: IntentFunction): boolean => fn.is !== 'write' || fn.way === 'import'

/** The arguments of an import, as the ledger keeps them. */
export interface ImportArguments {
  mode: ImportMode
  source: {
    upload?: { id: string; columns?: readonly { column: string; from: string }[] }
    snapshot?: {
      model: string
      version?: number | null
      table: string
      columns?: readonly { column: string; from: string }[]
    }
  }
}

/** Which versions of other models an intent reads: those it names, or for a trigger all reads of that kind. */
export interface ReadRequest {
  alias: string
  model: string
  version: number | null
}

/** What an intent asks to read, given the models that its model reads. */
export function readRequests(
  fn: IntentFunction,
  args: Readonly<Record<string, unknown>>,
  reads: readonly { id: string; kind: string }[],
): ReadRequest[] {
  if (fn.is === 'copy') return [{ alias: 'source', model: String(args.model), version: args.version as number | null }]
  if (fn.is === 'write') {
    const snapshot = fn.way === 'import' ? (args as unknown as ImportArguments).source.snapshot : undefined
    return snapshot ? [{ alias: 'source', model: snapshot.model, version: snapshot.version ?? null }] : []
  }
  const named = Object.entries(fn.function.arguments).flatMap(([alias, { type }]) =>
    type.is === 'model' && typeof args[alias] === 'string'
      ? [{ alias, model: args[alias], version: type.version ? (args[type.version] as number | null) : null }]
      : [],
  )
  const started = reads
    .filter(({ kind }) => kind === fn.function.runsOn)
    .map(({ id }, index) => ({ alias: index === 0 ? 'source' : `source_${index + 1}`, model: id, version: null }))
  return [...named, ...started]
}

/** The change that an intent asks for. `file` is where the manager has put the upload that an import reads. */
export function changeOf(
  kind: Kind,
  fn: IntentFunction,
  args: Readonly<Record<string, unknown>>,
  reads: readonly SnapshotRef[],
  file: Extract<ImportSource, { is: 'file' }> | null,
): Change {
  const [source] = reads
  if (fn.is === 'function') return { is: 'function', name: fn.function.name, args, reads }
  if (fn.is === 'copy') return { is: 'copy', from: needed(source) }
  const table = fn.table.name
  switch (fn.way) {
    case 'append':
    case 'upsert':
      return { is: fn.way, table, rows: args.rows as Row[] }
    case 'update':
      return { is: 'update', table, where: parseWhere(kind, fn.table, args.where), set: args.set as Row }
    case 'delete':
      return { is: 'delete', table, where: parseWhere(kind, fn.table, args.where) }
    case 'import': {
      const { mode, source: from } = args as unknown as ImportArguments
      const mapping = (from.upload ?? from.snapshot)?.columns
      const columns = mapping ? { columns: Object.fromEntries(mapping.map(({ column, from }) => [column, from])) } : {}
      if (from.snapshot)
        return {
          is: 'import',
          table,
          mode,
          source: { is: 'snapshot', snapshot: needed(source), table: from.snapshot.table, ...columns },
        }
      return { is: 'import', table, mode, source: { ...needed(file), ...columns } }
    }
  }
}

function needed<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('an intent was read without what it reads')
  return value
}
