import type { Column } from '../../src/kinds/kind.ts'
import { type LogicalType, type Row, type TypeName, typeName, type Value } from '../../src/kinds/types.ts'
import type { Types } from '../builder.ts'

export type Scalar = 'String' | 'Int' | 'BigInt' | 'Decimal' | 'Float' | 'Boolean' | 'Date' | 'DateTime'

const SCALARS: Record<TypeName, Scalar> = {
  VARCHAR: 'String',
  INTEGER: 'Int',
  BIGINT: 'BigInt',
  DECIMAL: 'Decimal',
  DOUBLE: 'Float',
  BOOLEAN: 'Boolean',
  DATE: 'Date',
  TIMESTAMP: 'DateTime',
}

/** The GraphQL scalar of a logical type. */
export const scalarOf = (type: LogicalType): Scalar => SCALARS[typeName(type)]

/** What the schema says of a column: the kind's own words, else its type and place. */
export const describe = (column: Pick<Column, 'name' | 'type' | 'description'>, key: readonly string[] = []): string =>
  column.description ?? `${column.type}${key.includes(column.name) ? ', part of the key' : ''}.`

/** A field to be made from a column. */
export interface ColumnField {
  name: string
  type: Scalar
  nullable: boolean
  description: string
}

export const fieldOf = (column: Column, key: readonly string[] = []): ColumnField => ({
  name: column.name,
  type: scalarOf(column.type),
  nullable: column.nullable,
  description: describe(column, key),
})

/** Fields that answer with the values that are found under their names. */
export function valueFields<P>(
  t: PothosSchemaTypes.ObjectFieldBuilder<Types, P>,
  fields: readonly ColumnField[],
  valuesOf: (parent: P) => Row,
) {
  return Object.fromEntries(
    fields.map(({ name, type, nullable, description }) => [
      name,
      t.field({
        type,
        nullable,
        description,
        // Canonical values are what the scalars write; the compiler would need a type for each column to see it.
        resolve: parent => (valuesOf(parent)[name] ?? null) as Exclude<Value, null>,
      }),
    ]),
  )
}
