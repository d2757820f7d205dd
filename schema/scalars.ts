import { GraphQLError, print, type ValueNode } from 'graphql'
import { readDecimal } from '../src/kinds/decimal.ts'
import type { LogicalType } from '../src/kinds/types.ts'
import { BadValue, coerce, coerceOperand, shown } from '../src/kinds/values.ts'
import type { Builder } from './builder.ts'

/** The scalars beside GraphQL's own. They read into canonical form (src/kinds/types.ts) and are written from it. */
export function addScalars(builder: Builder): void {
  builder.scalarType('Date', {
    description: 'A day of the calendar in ISO 8601, "2013-01-31".',
    ...reading(value => canonical('DATE', value)),
    serialize: String,
  })
  builder.scalarType('DateTime', {
    description:
      'An instant in ISO 8601 and UTC, up to microseconds, "2013-01-31T09:00:00.000Z"; input takes any offset.',
    ...reading(value => canonical('TIMESTAMP', value)),
    // six places in canonical form, of which three are always shown
    serialize: value => String(value).replace(/0{1,3}Z$/, 'Z'),
  })
  builder.scalarType('Decimal', {
    description:
      'An exact decimal as a string with its full scale, "1234.5600". Input takes an Int or Float literal too, and up to 38 digits.',
    ...reading(decimal),
    serialize: String,
  })
  builder.scalarType('BigInt', {
    description:
      'A whole number of 64 bits as a string of digits; a sum of such may be longer. Input takes an Int literal too.',
    ...reading(value => canonical('BIGINT', value)),
    serialize: String,
  })
  builder.scalarType('JSON', {
    description: 'Any JSON value.',
    parseValue: value => value,
    serialize: value => value,
  })
}

const canonical = (type: LogicalType, value: unknown): string => String(coerce(type, value))

/** Of so many digits each decimal comes back from a double as it went in; one of more may be another by now. */
const DIGITS_OF_A_DOUBLE = 15

/** With as many places as it needs: what it is compared with or written to has a scale of its own. */
function decimal(value: unknown): string {
  const digits = typeof value === 'number' ? readDecimal(String(value))?.digits : undefined
  if (digits && digits.length > DIGITS_OF_A_DOUBLE)
    throw new BadValue(`${shown(value)} may have lost digits on its way as a JSON number; give it as a string`)
  try {
    return String(coerceOperand('DECIMAL(38,0)', value))
  } catch {
    throw new BadValue(`${shown(value)} is no Decimal; give a number of at most 38 digits, such as "12.50"`)
  }
}

/**
 * How a scalar is read from JSON and from a literal, whose text is taken as it was written: on the way through a double,
 * digits would be lost. What cannot be read is BAD_VALUE wherever it stands: GraphQL keeps the extensions of what is
 * thrown here.
 */
function reading(parse: (value: unknown) => string) {
  const read = (value: unknown, node?: ValueNode): string => {
    try {
      return parse(value)
    } catch (error) {
      if (!(error instanceof BadValue)) throw error
      throw new GraphQLError(error.message, { nodes: node, extensions: { code: 'BAD_VALUE' } })
    }
  }
  return {
    parseValue: (value: unknown) => read(value),
    parseLiteral: (node: ValueNode) => read('value' in node ? String(node.value) : print(node), node),
  }
}
