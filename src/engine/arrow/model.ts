import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Column, Kind, KindShape, Table } from '../../kinds/kind.ts'
import type { Addition } from '../../kinds/shape.ts'
import { additionsTo } from '../additions.ts'
import type { Checksums, SnapshotFiles } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { MANIFEST, type Manifest, openVersion } from './manifest.ts'
import type { TableFiles } from './row-writes.ts'
import type { ScratchFile, ScratchFiles } from './scratch-files.ts'

/** What a writer holds of its model; the tables are those of `shape`. */
export interface ModelState {
  version: number
  lastSeq: bigint
  shape: KindShape
  tables: TableFiles
  /** What the kind has got since. */
  additions: readonly Addition[]
}

export const emptyModel = (kind: Kind): ModelState => ({
  version: 0,
  lastSeq: 0n,
  shape: kind.shape,
  tables: new Map(),
  additions: [],
})

/**
 * The model as a version has it, whose files are taken over: read once, to see that they are sound, and linked.
 * @throws TeatreeError KIND_CHANGED where the version was made with a shape of the kind that this one cannot take up
 * @throws SnapshotDamaged, SnapshotMissing
 */
export async function adoptVersion(
  scratch: ScratchFiles,
  kind: Kind,
  files: SnapshotFiles,
  checksums: Checksums = {},
): Promise<ModelState> {
  const { manifest } = await openVersion(files)
  const additions = additionsTo(kind, manifest.shape)
  // A file that is there under one of the names would be written over, and with it the version that is a link to it.
  await scratch.sweep([])
  const expected = checksums[MANIFEST]
  if (expected !== undefined && hash('sha256', await readFile(files[MANIFEST] ?? ''), 'hex') !== expected) {
    throw new SnapshotDamaged('the manifest of a version is damaged')
  }
  const tables = new Map<string, ScratchFile[]>()
  for (const [name, all] of Object.entries(manifest.tables)) {
    const taken: ScratchFile[] = []
    for (const file of all) taken.push(await scratch.adopt(file, files[file.name] ?? ''))
    tables.set(name, taken)
  }
  return { ...stateOf(manifest, additions), tables }
}

/** What a version holds. */
export function stateOf({ version, lastSeq, shape, tables }: Manifest, additions: readonly Addition[]): ModelState {
  return { version, lastSeq, shape, tables: new Map(Object.entries(tables)), additions }
}

/** The model with what the kind has got since: of a new column, the files that are there say that they lack it. */
export function withAdditions(state: ModelState, kind: Kind): ModelState {
  const tables = new Map(state.tables)
  for (const addition of state.additions) {
    if (addition.is === 'table') continue
    const files = tables.get(addition.table) ?? []
    tables.set(
      addition.table,
      files.map(file => ({ ...file, lacks: [...(file.lacks ?? []), addition.column] })),
    )
  }
  return { ...state, tables, shape: kind.shape, additions: [] }
}

/** The kind's tables with the columns that a version of the shape has of them. */
export function tablesOfShape(kind: Kind, shape: KindShape): Table[] {
  return [...kind.tables.values()]
    .filter(({ name }) => Object.hasOwn(shape, name))
    .map(table => {
      const there = shape[table.name]?.columns ?? {}
      const columns = [...table.columns].filter(([name]) => Object.hasOwn(there, name))
      return { ...table, columns: new Map<string, Column>(columns) }
    })
}
