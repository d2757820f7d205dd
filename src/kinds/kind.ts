import type { EngineName } from './context.ts'
import type { FunctionSpec, KindDefinition, QuerySpec, ReferenceSpec, ResultSpec, WayOfWriting } from './definition.ts'
import type { LogicalType } from './types.ts'

/** A kind that has been checked and read once: what engines, jobs and the GraphQL schema are made from. */
export interface Kind {
  readonly name: string
  readonly description: string
  /** As it goes before generated names: capitalised, or empty. */
  readonly prefix: string
  readonly engines: readonly EngineName[]
  readonly tables: ReadonlyMap<string, Table>
  readonly functions: ReadonlyMap<string, KindFunction>
  readonly queries: ReadonlyMap<string, KindQuery>
  /** What a model remembers of the kind it was made with: tables, columns, keys. Compared to tell whether a kind changed. */
  readonly shape: KindShape
  /** The definition as it was written. */
  readonly definition: KindDefinition
}

export interface Column {
  readonly name: string
  readonly type: LogicalType
  readonly nullable: boolean
  readonly description: string | undefined
}

export interface Table {
  readonly name: string
  readonly row: string
  readonly description: string
  readonly columns: ReadonlyMap<string, Column>
  readonly key: readonly string[]
  readonly references: readonly ReferenceSpec[]
  readonly writes: ReadonlySet<WayOfWriting>
}

export interface KindFunction extends FunctionSpec {
  readonly name: string
  readonly timeoutSeconds: number
  readonly resultColumns: ReadonlyMap<string, Column>
}

export interface KindQuery extends QuerySpec {
  readonly name: string
  readonly timeoutSeconds: number
  readonly rowColumns: ReadonlyMap<string, Column>
  readonly pageColumns: ReadonlyMap<string, Column>
}

/** Tables by name, in order; JSON. */
export type KindShape = Readonly<Record<string, { columns: Readonly<Record<string, string>>; key: readonly string[] }>>

export type { ResultSpec }

/** The kinds a server knows, by name. */
export type Kinds = ReadonlyMap<string, Kind>

/** GraphQL names made from a kind; the one place where they are put together. */
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const small = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)
export const names = {
  modelType: (kind: Kind) => `${capital(kind.name)}Model`,
  snapshotType: (kind: Kind) => `${capital(kind.name)}Snapshot`,
  modelField: (kind: Kind) => `${kind.name}Model`,
  /** `Sale`, and with a suffix `SaleWhere`, `SaleConnection` … */
  rowType: (kind: Kind, table: Table, suffix = '') => `${kind.prefix}${table.row}${suffix}`,
  /** Any other type that a kind names: results, enums, inputs. */
  type: (kind: Kind, name: string) => `${kind.prefix}${name}`,
  /** `appendSales`; with prefix `Plan`, `appendPlanSales`. */
  write: (kind: Kind, way: WayOfWriting, table: Table) => `${way}${kind.prefix}${capital(table.name)}`,
  /** `computeGoals`; with prefix `Plan`, `planComputeGoals`. */
  function: (kind: Kind, name: string) => (kind.prefix ? `${small(kind.prefix)}${capital(name)}` : name),
  functionInput: (kind: Kind, name: string) => `${kind.prefix}${capital(name)}Input`,
  /** The snapshot's field for one row by key: `sale`. */
  byKey: (table: Table) => small(table.row),
  aggregate: (table: Table) => `${table.name}Aggregate`,
  diff: (table: Table) => `${table.name}Diff`,
} as const
