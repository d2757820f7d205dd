import type { TypeName } from '../src/kinds/types.ts'
import type { Builder, InputRef } from './builder.ts'

/** The filter inputs, by the logical type of the column that they are for. */
export type Filters = Readonly<Record<TypeName, InputRef>>

/** One input of comparisons for each logical type. */
export function addFilters(builder: Builder): Filters {
  const ordered = (
    name: string,
    of: 'String' | 'Int' | 'Float' | 'BigInt' | 'Decimal' | 'Date' | 'DateTime',
    what: string,
  ) =>
    builder.inputType(`${name}Filter`, {
      description: `Conditions on ${what}; all that are given must hold. An operand of null is BAD_VALUE: isNull asks for it.`,
      fields: t => ({
        eq: t.field({ type: of, description: 'Equal to it.' }),
        neq: t.field({ type: of, description: 'Not equal to it.' }),
        in: t.field({ type: [of], description: 'One of them; an empty list selects nothing.' }),
        notIn: t.field({ type: [of], description: 'None of them.' }),
        gt: t.field({ type: of, description: 'Greater than it.' }),
        gte: t.field({ type: of, description: 'Greater than it, or equal.' }),
        lt: t.field({ type: of, description: 'Less than it.' }),
        lte: t.field({ type: of, description: 'Less than it, or equal.' }),
        ...(of === 'String'
          ? {
              like: t.string({
                description: 'Like the pattern, where % is any text and _ any character; a backslash escapes.',
              }),
              ilike: t.string({ description: 'Like the pattern, upper and lower case taken as equal.' }),
            }
          : {}),
        isNull: t.boolean({ description: 'Whether it is null.' }),
      }),
    })
  return {
    VARCHAR: ordered('String', 'String', 'a string, in the order of its UTF-8 bytes'),
    INTEGER: ordered('Int', 'Int', 'a whole number'),
    BIGINT: ordered('BigInt', 'BigInt', 'a whole number of 64 bits'),
    DOUBLE: ordered('Float', 'Float', 'a number'),
    DECIMAL: ordered('Decimal', 'Decimal', 'a decimal'),
    DATE: ordered('Date', 'Date', 'a day'),
    TIMESTAMP: ordered('DateTime', 'DateTime', 'an instant'),
    BOOLEAN: builder.inputType('BooleanFilter', {
      description: 'Conditions on a truth value; all that are given must hold.',
      fields: t => ({
        eq: t.boolean({ description: 'Equal to it.' }),
        isNull: t.boolean({ description: 'Whether it is null.' }),
      }),
    }),
  }
}
