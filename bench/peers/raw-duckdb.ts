import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import { askAtOnce } from './clients.ts'
import { type Chosen, PAGE_ROWS, pick, type QueryName, threshold } from './read-queries.ts'

/** A process of its own, with as large a pool of threads as the platform's: DuckDB itself, without any server. */
export type Order =
  | { path: string; chosen: Chosen }
  | { query: QueryName; clients: number; seconds: number; from: number }

const COLUMNS = '"orderId", line, date, "siteId", "productId", "customerId", "salespersonId", quantity, amount'

const SQL: Record<QueryName, (chosen: Chosen, n: number) => [string, DuckDBValue[]]> = {
  'filtered page': ({ sites }, n) => [
    `SELECT ${COLUMNS} FROM sales WHERE "siteId" = $1 AND amount > $2::DECIMAL(18,4)
      ORDER BY date DESC, "orderId", line LIMIT ${PAGE_ROWS}`,
    [pick(sites, n), threshold(n)],
  ],
  'page in the middle': ({ rows }, n) => {
    const { date, orderId, line } = pick(rows, n)
    return [
      `SELECT ${COLUMNS} FROM sales
        WHERE date >= $1::DATE AND (date > $1::DATE OR (date = $1::DATE AND ("orderId" > $2 OR ("orderId" = $2 AND line > $3))))
        ORDER BY date, "orderId", line LIMIT ${PAGE_ROWS}`,
      [date, orderId, line],
    ]
  },
  months: (_, n) => [
    `SELECT make_date(number // 12, number % 12 + 1, 1) AS month, count, amount FROM (
       SELECT year(date) * 12 + month(date) - 1 AS number, count(*) AS count, sum(amount) AS amount FROM sales
        WHERE amount > $1::DECIMAL(18,4) GROUP BY 1) ORDER BY 1 LIMIT 50`,
    [threshold(n)],
  ],
  'row by key': ({ rows }, n) => {
    const { orderId, line } = pick(rows, n)
    return [`SELECT ${COLUMNS} FROM sales WHERE "orderId" = $1 AND line = $2`, [orderId, line]]
  },
}

let opened: { instance: DuckDBInstance; chosen: Chosen } | undefined

process.on('message', async (order: Order) => {
  if ('path' in order) {
    const instance = await DuckDBInstance.create(order.path, { access_mode: 'READ_ONLY' })
    opened = { instance, chosen: order.chosen }
    process.send?.({})
    return
  }
  if (!opened) throw new Error('nothing is open')
  const { instance, chosen } = opened
  const connections = await Promise.all(Array.from({ length: order.clients }, () => instance.connect()))
  const idle = [...connections]
  const result = await askAtOnce(order, async n => {
    const connection = idle.pop()
    if (!connection) throw new Error('more clients than connections')
    const [sql, values] = SQL[order.query](chosen, n)
    const reader = await connection.runAndReadAll(sql, values)
    if (reader.getRowsJson().length === 0) throw new Error(`${order.query} found nothing`)
    idle.push(connection)
  })
  for (const connection of connections) connection.closeSync()
  process.send?.(result)
})
