import { setImmediate } from 'node:timers/promises'

/**
 * Rows as CSV under a heading, in pieces of some 64 KiB; null is an empty field, text is quoted. Rows that are made as they are
 * taken are all made in a go unless others get their turn: a signal to stop would be heard behind the last of them.
 */
export async function* csv(columns: readonly string[], rows: Iterable<object>): AsyncGenerator<Uint8Array> {
  let text = `${columns.join(',')}\n`
  for (const row of rows) {
    const cells = columns.map(column => (row as Record<string, unknown>)[column])
    text += `${cells.map(cell => (cell === null ? '' : `"${String(cell).replaceAll('"', '""')}"`)).join(',')}\n`
    if (text.length < 1 << 16) continue
    yield Buffer.from(text)
    text = ''
    await setImmediate()
  }
  if (text) yield Buffer.from(text)
}

/** Columns that the kind `sales` knows, by table; what else the company's objects say (sizes, shares) stays with the generator. */
export const SALES_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  sites: ['siteId', 'name', 'region', 'country'],
  products: ['productId', 'name', 'category', 'listPrice'],
  customers: ['customerId', 'name'],
  salespersons: ['salespersonId', 'name', 'siteId'],
  sales: ['orderId', 'line', 'date', 'siteId', 'productId', 'customerId', 'salespersonId', 'quantity', 'amount'],
}
