import type { Column } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import { coerce } from '../kinds/values.ts'

/**
 * What a kind's function answered as the row that it declares: the declared columns, each in canonical form.
 * @param at what errors call the function: `function computeGoals`
 * @throws Error that names the column, where the answer is not of its type: a fault of the kind
 */
export function declaredRow(at: string, columns: ReadonlyMap<string, Column>, answer: unknown): Row {
  if (typeof answer !== 'object' || answer === null) throw new Error(`${at} answers with no row`)
  const given = answer as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    [...columns.values()].map(column => {
      try {
        return [column.name, declaredValue(column, Object.hasOwn(given, column.name) ? given[column.name] : null)]
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new Error(`${at} answers wrong in ${column.name}: ${why}`, { cause })
      }
    }),
  )
}

function declaredValue({ type, nullable }: Column, value: unknown): Value {
  if (value === null || value === undefined) {
    if (nullable) return null
    throw new Error('null where there must be a value')
  }
  // Counts and sums of whole numbers are wider in the engines than an INTEGER, and come as text.
  const isNumber = (type === 'INTEGER' || type === 'DOUBLE') && /^-?\d+(\.\d+)?$/.test(String(value))
  return coerce(type, isNumber ? Number(value) : value)
}
