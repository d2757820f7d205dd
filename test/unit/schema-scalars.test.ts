import { GraphQLScalarType, graphql, parseConstValue } from 'graphql'
import { expect, test } from 'vitest'
import { loadKinds } from '../../src/kinds/registry.ts'
import { makeSchema } from '../../src/resolvers/index.ts'

const schema = makeSchema({ kinds: await loadKinds() })

function scalar(name: string): GraphQLScalarType {
  const type = schema.getType(name)
  if (!(type instanceof GraphQLScalarType)) throw new Error(`${name} is no scalar`)
  return type
}
const fromLiteral = (name: string, literal: string) => scalar(name).parseLiteral(parseConstValue(literal), undefined)
const fromJson = (name: string, value: unknown) => scalar(name).coerceInputValue(value)
const written = (name: string, value: unknown) => scalar(name).coerceOutputValue(value)

test('a decimal keeps the digits of its literal, and needs no more places than it has', () => {
  expect(fromLiteral('Decimal', '12345678901234567890.12345678901234567')).toBe(
    '12345678901234567890.12345678901234567',
  )
  expect(fromLiteral('Decimal', '0.1')).toBe('0.1')
  expect(fromLiteral('Decimal', '-5')).toBe('-5')
  expect(fromLiteral('Decimal', '"1.50"')).toBe('1.5')
  expect(fromJson('Decimal', '1e3')).toBe('1000')
  expect(fromJson('Decimal', 0.1)).toBe('0.1')
  expect(written('Decimal', '12.5000')).toBe('12.5000')
})

test('a whole number keeps the digits of its literal', () => {
  expect(fromLiteral('BigInt', '9223372036854775807')).toBe('9223372036854775807')
  expect(fromJson('BigInt', '-1')).toBe('-1')
  expect(fromJson('BigInt', 7)).toBe('7')
  expect(written('BigInt', 170_141_183_460_469_231_731n)).toBe('170141183460469231731')
})

test('a JSON number that may have been rounded is refused, whatever it stands for; its literal is not', () => {
  const refused = expect.objectContaining({ message: expect.stringContaining('string') })
  for (const text of ['12345678901234567890', '0.1234567890123456', '9007199254740993']) {
    expect(() => fromJson('Decimal', JSON.parse(text))).toThrow(refused)
    expect(fromLiteral('Decimal', text)).toBe(text)
  }
  expect(() => fromJson('BigInt', JSON.parse('9007199254740993'))).toThrow(refused)
  expect(fromJson('Decimal', 99999999999.9999)).toBe('99999999999.9999')
  expect(fromJson('Decimal', 1e22)).toBe('10000000000000000000000')
})

test('an instant is read at any offset, and written with three places or as many as it needs', () => {
  expect(fromJson('DateTime', '2013-01-31T10:00:00+01:00')).toBe('2013-01-31T09:00:00.000000Z')
  expect(written('DateTime', '2013-01-31T09:00:00.000000Z')).toBe('2013-01-31T09:00:00.000Z')
  expect(written('DateTime', '2013-01-31T09:00:00.123400Z')).toBe('2013-01-31T09:00:00.1234Z')
  expect(written('DateTime', '2013-01-31T09:00:00.123456Z')).toBe('2013-01-31T09:00:00.123456Z')
})

test.each([
  ['Date', '2013-02-30'],
  ['Date', 20130131],
  ['DateTime', '2013-01-31'],
  ['Decimal', 'much'],
  ['Decimal', '1'.repeat(39)],
  ['Decimal', true],
  ['BigInt', '9223372036854775808'],
  ['BigInt', 1.5],
  ['BigInt', '1.0'],
])('%s refuses %s', (name, value) => {
  const refused = expect.objectContaining({ extensions: { code: 'BAD_VALUE' } })
  expect(() => fromJson(name, value)).toThrow(refused)
  expect(() => fromLiteral(name, JSON.stringify(value))).toThrow(refused)
})

test('a bad value is BAD_VALUE in a literal and in a variable, and says where it stands', async () => {
  const literal = await graphql({
    schema,
    source: '{ salesModel(id: "m") { snapshot(at: { asOf: "yesterday" }) { id } } }',
  })
  expect(literal.errors).toMatchObject([{ extensions: { code: 'BAD_VALUE' }, locations: [{ line: 1, column: 46 }] }])
  const variable = await graphql({
    schema,
    source: 'query ($at: SnapshotAt) { salesModel(id: "m") { snapshot(at: $at) { id } } }',
    variableValues: { at: { asOf: 'yesterday' } },
  })
  expect(variable.errors).toMatchObject([{ extensions: { code: 'BAD_VALUE' } }])
  expect(variable.errors?.[0]?.message).toMatch(/\$at.*asOf.*"yesterday"/)
})
