import type { SnapshotSource } from '../../schema/shapes.ts'
import type { Table } from '../kinds/kind.ts'
import { refuse } from '../kinds/refuse.ts'

export function columnOf(table: Table, name: string) {
  return table.columns.get(name) ?? refuse('column', `${table.name} has no column ${name}`)
}

export function tableOf({ kind }: SnapshotSource, name: string): Table {
  const table = kind.tables.get(name)
  if (!table) throw new Error(`kind ${kind.name} has no table ${name}`)
  return table
}
