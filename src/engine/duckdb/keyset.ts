import type { LogicalType, Value } from '../../kinds/types.ts'
import type { Direction, Nulls } from '../plan.ts'
import type { ParameterSink } from './where-sql.ts'

/** One operand of an order that tells all rows apart. */
export interface OrderKey {
  /** SQL, quoted. */
  operand: string
  type: LogicalType
  nullable: boolean
  direction: Direction
  nulls: Nulls
}

export const orderByText = (keys: readonly OrderKey[]): string =>
  keys.map(({ operand, direction, nulls }) => `${operand} ${direction} NULLS ${nulls}`).join(', ')

/** The same order from its end. */
export const reversed = (keys: readonly OrderKey[]): OrderKey[] =>
  keys.map(key => ({
    ...key,
    direction: key.direction === 'ASC' ? 'DESC' : 'ASC',
    nulls: key.nulls === 'FIRST' ? 'LAST' : 'FIRST',
  }))

/**
 * The rows behind a position, which has a value for each key, as SQL in brackets:
 *
 *   (a >= 1 AND (a > 1 OR (b >= 2 AND (b > 2 OR c > 3))))
 *
 * Beginning with what holds for all of them lets DuckDB leave out whole row groups by the first key.
 */
export function behind(keys: readonly OrderKey[], position: readonly Value[], params: ParameterSink): string {
  if (keys.length !== position.length) throw new Error('a position has a value for each column of the order')
  return keys.reduceRight((rest, key, index) => {
    const value = position[index] ?? null
    const after = beyond(key, value, '', params)
    return rest === '' ? after : `(${beyond(key, value, '=', params)} AND (${after} OR ${rest}))`
  }, '')
}

/** Where the key is beyond the value, or with `orEqual` there already. Nulls lie on one side of everything. */
function beyond(key: OrderKey, value: Value, orEqual: '' | '=', params: ParameterSink): string {
  const { operand, nulls } = key
  if (value === null) {
    const behindNulls = nulls === 'FIRST' ? `(${operand} IS NOT NULL)` : '(FALSE)'
    if (orEqual === '') return behindNulls
    return nulls === 'FIRST' ? '(TRUE)' : `(${operand} IS NULL)`
  }
  const comparison = `${operand} ${key.direction === 'ASC' ? '>' : '<'}${orEqual} ${params.value(value, key.type)}`
  return key.nullable && nulls === 'LAST' ? `(${comparison} OR ${operand} IS NULL)` : `(${comparison})`
}
