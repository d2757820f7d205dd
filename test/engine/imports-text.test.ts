import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromText } from '../../src/engine/duckdb/imports/text-casts.ts'
import type { LogicalType, Value } from '../../src/kinds/types.ts'
import { BadValue, coerce } from '../../src/kinds/values.ts'
import { ImportModel } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
  // nothing may hang on where the server stands
  await model.sql.run(`SET TimeZone = 'Asia/Tokyo'`)
})
afterAll(() => model[Symbol.asyncDispose]())

/** What each text becomes; null where it is refused. */
async function cast(type: LogicalType, texts: readonly string[]): Promise<Value[]> {
  const rows = await model.sql.all(`SELECT ${fromText('t', type)} AS v FROM (SELECT unnest($texts) AS t)`, { texts })
  return rows.map(({ v }) => v ?? null)
}

const TAKEN: [LogicalType, Record<string, Value>][] = [
  [
    'INTEGER',
    {
      '0': 0,
      '-0': 0,
      '007': 7,
      '+5': 5,
      '1.0': 1,
      '1.000': 1,
      '2147483647': 2147483647,
      '-2147483648': -2147483648,
      '1e3': 1000,
      '1.5E1': 15,
      '100e-2': 1,
    },
  ],
  [
    'BIGINT',
    {
      '9223372036854775807': '9223372036854775807',
      '-9223372036854775808': '-9223372036854775808',
      '9.223372036854775807e18': '9223372036854775807',
    },
  ],
  [
    'DECIMAL(18,4)',
    {
      '1': '1.0000',
      '1.5': '1.5000',
      '-0.0001': '-0.0001',
      '1.50000000': '1.5000',
      '99999999999999.9999': '99999999999999.9999',
      '1e-4': '0.0001',
      '12.5e1': '125.0000',
      '0e99': '0.0000',
      '-1E+2': '-100.0000',
      '00012.5': '12.5000',
    },
  ],
  [
    'DECIMAL(38,10)',
    { '-9999999999999999999999999999.9999999999': '-9999999999999999999999999999.9999999999', '1e-10': '0.0000000001' },
  ],
  ['DECIMAL(5,0)', { '99999': '99999', '-1.0': '-1', '1e4': '10000' }],
  ['DECIMAL(2,2)', { '0.25': '0.25', '-0.9': '-0.90', '0': '0.00' }],
  [
    'DOUBLE',
    {
      '0.1': 0.1,
      '-0': 0,
      '1e400e': null,
      '1.7976931348623157e308': Number.MAX_VALUE,
      '5e-324': 5e-324,
      '0.30000000000000004': 0.1 + 0.2,
      '0.10000000000000001': 0.1,
      '1.00': 1,
      '123456789012345': 123456789012345,
      '1e22': 1e22,
      '12300000000000000000000': 1.23e22,
      '0.1000000000000000055511151231257827': 0.1,
    },
  ],
  ['BOOLEAN', { true: true, FALSE: false, True: true }],
  [
    'DATE',
    { '2013-01-31': '2013-01-31', '0001-01-01': '0001-01-01', '9999-12-31': '9999-12-31', '2012-02-29': '2012-02-29' },
  ],
  [
    'TIMESTAMP',
    {
      '2013-01-31T09:00:00Z': '2013-01-31T09:00:00.000000Z',
      '2013-01-31 09:00:00': '2013-01-31T09:00:00.000000Z',
      '2013-01-31T09:00': '2013-01-31T09:00:00.000000Z',
      '2013-01-31': '2013-01-31T00:00:00.000000Z',
      '2013-01-31T09:00:00.1234560000': '2013-01-31T09:00:00.123456Z',
      '2013-01-31T09:00:00.5+02:00': '2013-01-31T07:00:00.500000Z',
      '2013-01-31 23:30:00-0130': '2013-02-01T01:00:00.000000Z',
      '0001-01-01T00:00:00Z': '0001-01-01T00:00:00.000000Z',
      '9999-12-31T23:59:59.999999Z': '9999-12-31T23:59:59.999999Z',
    },
  ],
  ['VARCHAR', { '': '', ' x ': ' x ', '1.50': '1.50' }],
]

const REFUSED: [LogicalType, string[]][] = [
  [
    'INTEGER',
    [
      '1.5',
      '',
      ' 12',
      '12 ',
      '1_000',
      '0x1',
      '1,5',
      '2147483648',
      '-2147483649',
      '1e-1',
      '1e10',
      'true',
      '٣',
      '12\n',
      '--1',
      '1.',
      '.0',
    ],
  ],
  ['BIGINT', ['9223372036854775808', '1e19', '0.1', '1e999']],
  [
    'DECIMAL(18,4)',
    ['1.00001', '100000000000000', '', ' 1', '1_0', 'nan', 'inf', '0x1', '1e-5', '1e14', '1,5', '.5', '5.', '1e', '$1'],
  ],
  ['DECIMAL(5,0)', ['100000', '0.5', '1e5', '1e-1']],
  ['DECIMAL(2,2)', ['1', '0.001']],
  [
    'DOUBLE',
    [
      'nan',
      'NaN',
      'inf',
      '-Infinity',
      '1e400',
      '1e-400',
      '3.14159265358979323846',
      '9007199254740993',
      '4.95e-324',
      '',
      ' 1',
      '1_0',
      '0x1',
      '1d',
    ],
  ],
  ['BOOLEAN', ['1', '0', 't', 'yes', '', ' true']],
  [
    'DATE',
    [
      '2013-02-30',
      '2013-1-31',
      '2013-01-31 ',
      ' 2013-1-31',
      '2013/01/31',
      '20130131',
      '0000-01-01',
      '10000-01-01',
      '2013-01-31T00:00:00',
      'infinity',
      'epoch',
      '01-31-2013',
      '-013-01-31',
      '2013-01-31 (BC)',
      '',
    ],
  ],
  [
    'TIMESTAMP',
    [
      '2013-02-30T00:00:00Z',
      '2013-01-31T24:00:00Z',
      '2013-01-31T09:00:60Z',
      '2013-01-31T09:00:00.1234567Z',
      '2013-01-31T9:00:00Z',
      '2013-01-31T09',
      '2013-01-31T09:00:00 UTC',
      '2013-01-31T09:00:00+25:00',
      '0001-01-01T00:00:00+00:01',
      '9999-12-31T23:59:59-00:01',
      '0000-01-01T00:00:00Z',
      'infinity',
      'now',
      '2013-01-31Z',
      '2013-01-31T09:00:00ZZ',
      ' 2013-01-31T09:00:00Z',
      '',
    ],
  ],
  ['VARCHAR', ['x'.repeat(1_048_577), 'a\0b']],
]

describe('a text is taken as', () => {
  test.each(TAKEN)('%s', async (type, values) => {
    expect(
      Object.fromEntries((await cast(type, Object.keys(values))).map((value, at) => [Object.keys(values)[at], value])),
    ).toEqual(values)
  })
})

describe('a text is no', () => {
  test.each(REFUSED)('%s', async (type, texts) => {
    const values = await cast(type, texts)
    expect(texts.filter((_, at) => values[at] !== null)).toEqual([])
  })
})

/** As rows are read, by code of its own; null where it is refused. */
function asRows(type: LogicalType, value: unknown): Value {
  try {
    return coerce(type, value)
  } catch (error) {
    if (error instanceof BadValue) return null
    throw error
  }
}

describe('a random text is taken as a row would take it', () => {
  const digits = fc.stringMatching(/^[0-9]{1,20}$/)
  const numberText = fc
    .tuple(
      fc.constantFrom('', '', '-', '+', ' '),
      digits,
      fc.option(digits),
      fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e-', 'e+'), fc.integer({ min: 0, max: 40 }))),
    )
    .map(
      ([sign, whole, fraction, power]) =>
        `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${power ? power.join('') : ''}`,
    )
  const two = (max: number) => fc.integer({ min: 0, max }).map(number => String(number).padStart(2, '0'))
  const day = fc
    .tuple(fc.integer({ min: 0, max: 9999 }), two(13), two(32))
    .map(([year, month, date]) => `${String(year).padStart(4, '0')}-${month}-${date}`)
  const instant = fc
    .tuple(
      day,
      two(24),
      two(60),
      two(60),
      fc.option(digits),
      fc.constantFrom('Z', '+00:00', '-11:30', '+14:00', '+23:59', '+24:00'),
    )
    .map(
      ([date, hour, minute, second, fraction, zone]) =>
        `${date}T${hour}:${minute}:${second}${fraction === null ? '' : `.${fraction.slice(0, 7)}`}${zone}`,
    )

  const agree = async (type: LogicalType, text: fc.Arbitrary<string>, read: (text: string) => Value) => {
    const samples = fc.sample(text, { numRuns: 5000, seed: 20130131 })
    const values = await cast(type, samples)
    const differ = samples
      .map((sample, at) => [sample, values[at], read(sample)])
      .filter(([, is, should]) => is !== should)
    expect(differ).toEqual([])
  }

  test.each(['DECIMAL(18,4)', 'DECIMAL(38,10)', 'DECIMAL(9,9)', 'DECIMAL(12,0)'] as const)('%s', type =>
    agree(type, numberText, text => asRows(type, text)),
  )
  test('INTEGER and BIGINT', async () => {
    // a row takes no fraction or exponent, and a file takes those that are none
    const whole = (text: string) => asRows('DECIMAL(38,0)', text)
    await agree('BIGINT', numberText, text => asRows('BIGINT', whole(text)))
    await agree('INTEGER', numberText, text => asRows('INTEGER', Number(whole(text) ?? Number.NaN)))
  })
  test('DOUBLE', async () => {
    const shortest = fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => String(number))
    await agree('DOUBLE', shortest, text => asRows('DOUBLE', Number(text)))
    // JavaScript rounds halves up where C rounds them to even
    const isHalf = (number: number) => /^-?\d\.\d{16}50*e/.test(number.toExponential(60))
    const exact = fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter(number => !isHalf(number))
      .map(number => number.toPrecision(17))
    await agree('DOUBLE', exact, text => asRows('DOUBLE', Number(text)))
    const significant = (text: string) =>
      text
        .replace(/[eE].*/, '')
        .replace(/\D/g, '')
        .replace(/^0+|0+$/g, '')
    /** The first `count` digits of a double, halves rounded to even. */
    const rounded = (number: number, count: number): string => {
      const digits = number.toExponential(60).replace(/e.*/, '').replace(/\D/g, '')
      const [head, rest] = [digits.slice(0, count), digits.slice(count)]
      const half = '5'.padEnd(rest.length, '0')
      const up = rest > half || (rest === half && Number(head.at(-1)) % 2 === 1)
      return significant(String(BigInt(head) + (up ? 1n : 0n)))
    }
    const survives = (text: string) => {
      const number = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN
      if (!Number.isFinite(number)) return null
      const digits = significant(text)
      return digits === '' || rounded(number, digits.length) === digits ? number + 0 : null
    }
    await agree('DOUBLE', numberText, survives)
  })
  test('DATE', () => agree('DATE', day, text => asRows('DATE', text)))
  test('TIMESTAMP', () => agree('TIMESTAMP', instant, text => asRows('TIMESTAMP', text)))
})
