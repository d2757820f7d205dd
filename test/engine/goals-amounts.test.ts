import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scaled, toCents, toTenThousandths } from '../../models/goals/amounts.ts'
import { scaled as scaledInFrame, toUnits } from '../../models/goals/arrow/amounts.ts'
import { frameOf, rowsOf } from '../../src/engine/arrow/columns.ts'
import pl from '../../src/engine/arrow/polars.ts'
import { ImportModel } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

/** What sales and goals cannot hold is refused before: amounts in ten-thousandths have 18 digits at most. */
const MOST = 10n ** 18n - 1n
/** From here on, DuckDB takes another way. */
const WIDE = 4n * 10n ** 10n

const amount = fc.oneof(
  fc.bigInt({ min: -MOST, max: MOST }),
  fc.constantFrom(0n, 1n, -1n, MOST, -MOST),
  // The product is a half, or one next to it.
  fc
    .tuple(fc.bigInt({ min: -1_000_000n, max: 1_000_000n }), fc.constantFrom(-1n, 0n, 1n))
    .map(([n, by]) => n * 50n + by),
)
const factor = fc.oneof(
  fc.bigInt({ min: 0n, max: 3_000_000n }),
  fc.bigInt({ min: 0n, max: 10n ** 12n }),
  fc.constantFrom(0n, 1n, 1_000_000n, WIDE - 1n, WIDE, WIDE + 1n),
)

/** amount × factor / 10^8, rounded half away from zero. */
function exactly(amount: bigint, factor: bigint): bigint {
  const product = amount * factor
  const size = ((product < 0n ? -product : product) + 50_000_000n) / 10n ** 8n
  return product < 0n ? -size : size
}

const inFrame = (values: readonly string[], type: 'DECIMAL(38,0)' | 'DECIMAL(18,4)') =>
  frameOf(
    [{ name: 'v', type }],
    values.map(v => ({ v })),
  ).lazy()

test('both engines scale amounts as whole numbers do', async () => {
  const amounts = fc.array(amount, { minLength: 1, maxLength: 200 })
  await fc.assert(
    fc.asyncProperty(amounts, factor, async (amounts, factor) => {
      const expected = amounts.map(each => String(exactly(each, factor)))
      const texts = amounts.map(String)
      const found = await model.sql.all(
        `SELECT (${scaled('v', factor)})::VARCHAR AS v FROM (SELECT unnest($texts)::HUGEINT AS v)`,
        { texts },
      )
      expect(found.map(({ v }) => v)).toEqual(expected)
      const frame = inFrame(texts, 'DECIMAL(38,0)').select(scaledInFrame(pl, pl.col('v'), factor, 8).alias('v'))
      expect(rowsOf(await frame.select(pl.col('v').cast(pl.Utf8)).collect()).map(({ v }) => v)).toEqual(expected)
    }),
    { numRuns: 60 },
  )
})

test('both engines make whole units of decimals, whatever their digits', async () => {
  const decimals = fc.array(fc.bigInt({ min: -MOST, max: MOST }), { minLength: 1, maxLength: 200 })
  await fc.assert(
    fc.asyncProperty(decimals, async units => {
      const texts = units.map(each => {
        const digits = String(each < 0n ? -each : each).padStart(5, '0')
        return `${each < 0n ? '-' : ''}${digits.slice(0, -4)}.${digits.slice(-4)}`
      })
      const found = await model.sql.all(
        `SELECT ${toTenThousandths('v')}::VARCHAR AS v, ${toTenThousandths('w')}::VARCHAR AS w, ${toCents('c')}::VARCHAR AS c
           FROM (SELECT unnest($texts)::DECIMAL(18,4) AS v, (v::DECIMAL(38,4) * 1000)::DECIMAL(38,4) AS w,
                        trunc(v)::DECIMAL(18,2) AS c)`,
        { texts },
      )
      expect(found.map(({ v }) => v)).toEqual(units.map(String))
      expect(found.map(({ w }) => w)).toEqual(units.map(each => String(each * 1000n)))
      expect(found.map(({ c }) => c)).toEqual(units.map(each => String((each / 10_000n) * 100n)))
      const frame = inFrame(texts, 'DECIMAL(18,4)').select(toUnits(pl, pl.col('v'), 4).alias('v'))
      expect(rowsOf(await frame.select(pl.col('v').cast(pl.Utf8)).collect()).map(({ v }) => v)).toEqual(
        units.map(String),
      )
    }),
    { numRuns: 30 },
  )
})
