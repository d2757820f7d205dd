import type { Parameters } from '../../kinds/context.ts'
import type { Argument, Arguments } from '../../kinds/definition.ts'
import type { Value } from '../../kinds/types.ts'
import { isRecord } from '../../kinds/values.ts'

/**
 * Arguments as the parameters of a `.sql` file: `$growth`, and the fields of objects as `$basisPeriod_from`, null where
 * the object is. Lists of plain values bind as lists; what has no form in SQL (filters, lists of objects) as JSON text.
 */
export function sqlArguments(spec: Arguments, args: Readonly<Record<string, unknown>>, prefix = ''): Parameters {
  return Object.assign(
    {},
    ...Object.entries(spec).map(([name, argument]) => parameters(argument, args[name] ?? null, `${prefix}${name}`)),
  )
}

function parameters({ type }: Argument, value: unknown, name: string): Parameters {
  if (type.is === 'object') return sqlArguments(type.fields, isRecord(value) ? value : {}, `${name}_`)
  const isPlain = type.is !== 'where' && (type.is !== 'list' || /^(scalar|enum|model)$/.test(type.of.type.is))
  return { [name]: value === null || isPlain ? (value as Value | readonly Value[]) : JSON.stringify(value) }
}
