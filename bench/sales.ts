import { makeCompany } from '../src/demo/company.ts'
import { seeded } from '../src/demo/random.ts'
import { makeSales, type SaleRow } from '../src/demo/sales.ts'

/** The columns of the table `sales`. */
export const SALES_COLUMNS = [
  'orderId',
  'line',
  'date',
  'siteId',
  'productId',
  'customerId',
  'salespersonId',
  'quantity',
  'amount',
] as const

const CHUNK_LENGTH = 1 << 18

/** About `rows` sales of two years, the same every time. */
export const madeSales = (rows: number): Generator<SaleRow> =>
  makeSales(seeded(1), makeCompany(seeded(1)), { rows, from: '2024-01-01', to: '2026-01-01', prefix: 'O' })

/** The same as CSV. */
export async function* salesCsv(rows: number): AsyncGenerator<Buffer> {
  let text = `${SALES_COLUMNS.join(',')}\n`
  for (const row of madeSales(rows)) {
    text += `${SALES_COLUMNS.map(column => row[column] ?? '').join(',')}\n`
    if (text.length < CHUNK_LENGTH) continue
    yield Buffer.from(text)
    text = ''
  }
  yield Buffer.from(text)
}
