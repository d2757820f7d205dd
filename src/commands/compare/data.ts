import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { makeCompany } from '../../demo/company.ts'
import { csv, SALES_COLUMNS } from '../../demo/csv.ts'
import { seeded } from '../../demo/random.ts'
import { makeSales, type SaleRow } from '../../demo/sales.ts'

const SEED = 20_240_101
const DAYS = { from: '2024-01-01', to: '2026-01-01' }
const PREFIX = 'O'
const EVERY_ROWS = 50_000

export const dataFile = (dir: string, table: string): string => join(dir, `${table}.csv`)

/** The order of a number, from 1. */
export const orderId = (number: number): string => `${PREFIX}${String(number).padStart(7, '0')}`

/**
 * Writes the tables of a made-up sales model, the same every time, as CSV files into `dir`: about `rows` sales of two years.
 * @returns how many sales there are, and of how many orders
 */
export async function writeData(
  dir: string,
  rows: number,
  { signal, onShare }: { signal: AbortSignal; onShare(share: number): void },
): Promise<{ sales: number; orders: number }> {
  const company = makeCompany(seeded(SEED))
  const made = { sales: 0, orders: 0 }
  function* counted(): Generator<SaleRow> {
    for (const row of makeSales(seeded(SEED + 1), company, { rows, ...DAYS, prefix: PREFIX })) {
      made.sales += 1
      if (row.line === 1) made.orders += 1
      if (made.sales % EVERY_ROWS === 0) onShare(Math.min(1, made.sales / rows))
      yield row
    }
  }
  const { sites, products, customers, salespersons } = company
  const tables: Record<string, Iterable<object>> = { sites, products, customers, salespersons, sales: counted() }
  for (const [table, of] of Object.entries(tables)) {
    const file = createWriteStream(dataFile(dir, table))
    const closed = once(file, 'close')
    // Where it fails, the pipeline says why.
    closed.catch(() => {})
    await pipeline(paced(csv(SALES_COLUMNS[table] ?? [], of)), file, { signal })
    await closed
  }
  return made
}

/** Made faster than the disk takes it, it would never let signals be heard. */
async function* paced(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk
    await new Promise(resolve => setImmediate(resolve))
  }
}
