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
