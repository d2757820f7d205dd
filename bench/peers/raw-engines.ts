import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Expr } from 'nodejs-polars'
import { ROUNDS } from '../../src/commands/compare/queries.ts'
import { median } from '../figures.ts'

/*
 * A library by itself, at the same work as the engine that is made of it, in a process of its own: ORDER as JSON. It keeps
 * one table of sales and one of goals, as a program would that needs no versions, no kinds and no other readers:
 *
 *   DuckDB   one file; changes are durable by a checkpoint
 *   Polars   one Arrow file per table, and one more per append; an update writes the table anew
 *
 * The same work is: no cell of the CSV loses anything in its cast, no key is there twice in what is imported or computed, and what is
 * written is on the disk and can be told to be sound. Of a DuckDB file the library sees to that, of an Arrow file a SHA-256.
 */
export interface Order {
  library: 'DuckDB' | 'Polars'
  task: 'import' | 'function' | 'queries' | 'writes'
  /** Where the CSV is, and what was made of it. */
  dir: string
  orders: number
}
export type Figures = Record<string, number>

const COLUMNS = ['orderId', 'line', 'date', 'siteId', 'productId', 'customerId', 'salespersonId', 'quantity', 'amount']
const DIMENSIONS = ['siteId', 'productId', 'customerId', 'salespersonId']
const SITES = Array.from({ length: 9 }, (_, n) => `S0${n + 1}`)

/** Milliseconds of the work. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** Milliseconds of the work, and of the processor's at it. */
async function both(name: string, work: () => Promise<unknown>): Promise<Figures> {
  const before = process.cpuUsage()
  const ms = await timed(work)
  const { user, system } = process.cpuUsage(before)
  return { [`${name} ms`]: ms, [`${name} processor ms`]: (user + system) / 1000 }
}

/** The medians of several times, each another; the first warms up. */
async function rounds(name: string, work: (n: number) => Promise<unknown>): Promise<Figures> {
  const all: Figures[] = []
  for (let n = 0; n < ROUNDS; n++) all.push(await both(name, () => work(n)))
  const names = Object.keys(all[0] ?? {})
  return Object.fromEntries(names.map(name => [name, median(all.slice(1).map(figures => figures[name] ?? Number.NaN))]))
}

const chosenOrders = ({ orders }: Order, n: number): string[] =>
  Array.from(
    { length: 500 },
    (_, i) => `O${String(1 + ((Math.floor((i * orders) / 500) + n) % orders)).padStart(7, '0')}`,
  )

async function withDuckDB(order: Order): Promise<Figures> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const { dir, task } = order
  const memory = `${Math.floor(0.4 * 2 ** -20 * (await import('node:os')).totalmem())}MiB`
  const instance = await DuckDBInstance.create(join(dir, 'raw.duckdb'), {
    memory_limit: memory,
    ...(task === 'queries' ? { access_mode: 'READ_ONLY' } : {}),
  })
  const connection = await instance.connect()
  const run = (sql: string) => connection.run(sql)
  const all = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson()
  const names = COLUMNS.map(name => `"${name}"`).join(', ')
  const dimensions = DIMENSIONS.map(name => `"${name}"`).join(', ')
  const refuseTwice = async (table: string, key: string) => {
    const twice = await all(`SELECT ${key} FROM ${table} GROUP BY ALL HAVING count(*) > 1 LIMIT 1`)
    if (twice.length > 0) throw new Error('a key is there twice')
  }
  /** The text as the type, where it is the beginning of how that is written. */
  const exact = (name: string, type: string) =>
    `CASE WHEN starts_with(CAST(CAST("${name}" AS ${type}) AS VARCHAR), "${name}") THEN CAST("${name}" AS ${type}) ELSE error('${name} is no ${type}') END`
  const same = DIMENSIONS.map(name => `b."${name}" IS NOT DISTINCT FROM c."${name}"`).join(' AND ')
  const TASKS: Record<Order['task'], () => Promise<Figures>> = {
    import: async () =>
      both('import', async () => {
        await run(`CREATE TABLE sales ("orderId" VARCHAR NOT NULL, line INTEGER NOT NULL, date DATE NOT NULL, "siteId" VARCHAR NOT NULL,
          "productId" VARCHAR NOT NULL, "customerId" VARCHAR NOT NULL, "salespersonId" VARCHAR, quantity DECIMAL(18,4) NOT NULL, amount DECIMAL(18,4) NOT NULL);
          INSERT INTO sales SELECT "orderId", ${exact('line', 'INTEGER')}, ${exact('date', 'DATE')}, "siteId", "productId",
            "customerId", "salespersonId", ${exact('quantity', 'DECIMAL(18,4)')}, ${exact('amount', 'DECIMAL(18,4)')}
          FROM read_csv('${join(dir, 'sales.csv')}', header = true, all_varchar = true)`)
        await refuseTwice('sales', '"orderId", line')
        await run('CHECKPOINT')
      }),
    function: async () =>
      both('function', async () => {
        await run(`CREATE OR REPLACE TABLE goals AS
            WITH b AS (
              SELECT datediff('month', DATE '2024-01-01', date) AS number, ${dimensions}, sum(amount) AS amount
              FROM sales WHERE date >= DATE '2024-01-01' AND date < DATE '2025-01-01' GROUP BY ALL
            ), c AS (SELECT DISTINCT ${dimensions} FROM b)
            SELECT (DATE '2025-01-01' + to_months(f.number::INTEGER))::DATE AS period, c.*, coalesce(b.amount, 0)::DECIMAL(18,4) AS "basisAmount",
              round(coalesce(b.amount, 0)::DECIMAL(30,4) * 1.05, 2)::DECIMAL(18,2) AS "goalAmount", false AS locked
            FROM range(12) f (number) CROSS JOIN c LEFT JOIN b ON b.number = f.number AND ${same};
          CREATE OR REPLACE TABLE actuals AS
            SELECT date_trunc('month', date)::DATE AS period, ${dimensions}, sum(amount)::DECIMAL(18,4) AS amount
            FROM sales WHERE date >= DATE '2025-01-01' AND date < DATE '2026-01-01' GROUP BY ALL`)
        for (const table of ['goals', 'actuals']) await refuseTwice(table, `period, ${dimensions}`)
        await run('CHECKPOINT')
      }),
    queries: async () => ({
      ...(await rounds('filtered page', n =>
        all(
          `SELECT ${names} FROM sales WHERE "siteId" = '${SITES[n % 9]}' AND amount > ${n + 1}.5 ORDER BY date DESC, "orderId", line LIMIT 20`,
        ),
      )),
      ...(await rounds('sums by month', n =>
        all(
          `SELECT date_trunc('month', date)::DATE AS month, count(*), sum(amount) FROM sales WHERE amount > ${n + 1}.5 GROUP BY 1 ORDER BY 1`,
        ),
      )),
      ...(await rounds('sums by site and product', n =>
        all(
          `SELECT "siteId", "productId", count(*), sum(amount) FROM sales WHERE amount > ${n + 1}.5 GROUP BY ALL ORDER BY 1, 2`,
        ),
      )),
    }),
    writes: async () => ({
      ...(await rounds('append of 10', async n => {
        const rows = Array.from(
          { length: 10 },
          (_, i) => `('RAW-${n}', ${i + 1}, DATE '2025-12-31', 'S01', 'T001', 'C0001', NULL, 1, ${i}.5)`,
        )
        await run(`CREATE TEMP TABLE added AS SELECT * FROM (VALUES ${rows.join(', ')}) r (${names})`)
        const there = await all('SELECT line FROM sales SEMI JOIN added USING ("orderId", line)')
        if (there.length > 0) throw new Error('a key is there')
        await run('INSERT INTO sales FROM added; DROP TABLE added; CHECKPOINT')
      })),
      ...(await rounds('update of 500', n =>
        run(`UPDATE sales SET amount = ${n + 1}.25 WHERE line = 1 AND "orderId" IN (${chosenOrders(order, n)
          .map(id => `'${id}'`)
          .join(', ')});
          CHECKPOINT`),
      )),
    }),
  }
  const figures = await TASKS[task]()
  connection.closeSync()
  instance.closeSync()
  return figures
}

async function withPolars(order: Order): Promise<Figures> {
  const pl = (await import('nodejs-polars')).default
  const { dir, task } = order
  const folder = join(dir, 'raw-arrow')
  await mkdir(folder, { recursive: true })
  const file = (name: string) => join(folder, `${name}.arrow`)
  const DECIMAL = pl.Decimal(18, 4)
  type Frame = ReturnType<typeof pl.scanIPC>
  const write = async (frame: Frame, name: string) => {
    await frame.sinkIpc(file(name), { compression: 'uncompressed', maintainOrder: true }).collect()
    await using handle = await open(file(name))
    await handle.sync()
    const digest = createHash('sha256')
    for await (const chunk of createReadStream(file(name), { highWaterMark: 1 << 20 })) digest.update(chunk)
    await writeFile(`${file(name)}.sha256`, digest.digest('hex'))
  }
  const refuseTwice = async (name: string, key: string[]) => {
    const count = async (rows: Frame) => String((await rows.select(pl.len()).collect()).toRecords()[0]?.len)
    const rows = pl.scanIPC(file(name)).select(...key)
    if ((await count(rows.unique())) !== (await count(rows))) throw new Error('a key is there twice')
  }
  const sales = () => pl.scanIPC(file('sales'))
  const records = async (frame: Frame, decimals: string[]) =>
    (await frame.withColumns(...decimals.map(name => pl.col(name).cast(pl.Utf8))).collect()).toRecords()
  const day = (date: string) =>
    pl
      .lit(Date.parse(date) / 86_400_000)
      .cast(pl.Int32)
      .cast(pl.Date)
  const within = (frame: Frame, from: string, to: string) =>
    frame.filter(
      pl
        .col('date')
        .gtEq(day(from))
        .and(pl.col('date').lt(day(to))),
    )
  const month = pl.col('date').dt.year().mul(12).add(pl.col('date').dt.month()).cast(pl.Int32).alias('month')
  const amountAbove = (n: number) => pl.col('amount').gt(pl.lit(`${n + 1}.5`).cast(DECIMAL))
  const TASKS: Record<Order['task'], () => Promise<Figures>> = {
    import: async () =>
      both('import', async () => {
        const text = pl.scanCSV(join(dir, 'sales.csv'), { inferSchemaLength: 0 })
        const cast = (name: string): Expr => {
          const column = pl.col(name)
          if (name === 'line') return column.cast(pl.Int32, true)
          if (name === 'date') return column.str.strptime(pl.Date, '%Y-%m-%d')
          return name === 'quantity' || name === 'amount' ? column.cast(DECIMAL, true) : column
        }
        // The strict casts fail by themselves where a text is no number; a date, and digits that are cut off, have to be looked for.
        const faults = COLUMNS.flatMap(name => {
          if (name === 'date') return [cast(name).isNull()]
          const isDecimal = name === 'quantity' || name === 'amount'
          return isDecimal ? [cast(name).cast(pl.Utf8).str.startsWith(pl.col(name)).not()] : []
        })
        const typed = text.select(
          ...COLUMNS.map(name => cast(name).alias(name)),
          faults.reduce((any, next) => any.or(next)).alias('fault'),
        )
        await write(typed, 'sales')
        const [found] = (await sales().select(pl.col('fault').any()).collect()).toRecords()
        if (found?.fault === true) throw new Error('a cell is not of its type')
        await refuseTwice('sales', ['orderId', 'line'])
      }),
    function: async () =>
      both('function', async () => {
        const sums = (from: string, to: string) =>
          within(sales(), from, to)
            .select(month, pl.col('amount'), ...DIMENSIONS.map(name => pl.col(name)))
            .groupBy(['month', ...DIMENSIONS])
            .agg(pl.col('amount').sum())
        const basis = (await sums('2024-01-01', '2025-01-01').collect()).lazy()
        const months = pl
          .DataFrame({ month: Array.from({ length: 12 }, (_, n) => 2024 * 12 + n + 1) })
          .lazy()
          .select(pl.col('month').cast(pl.Int32))
        const amount = pl.col('amount').fillNull(pl.lit('0').cast(pl.Decimal(38, 4)))
        const goals = basis
          .select(...DIMENSIONS)
          .unique()
          .join(months, { how: 'cross' })
          .join(basis, { on: ['month', ...DIMENSIONS], how: 'left', nullsEqual: true })
          .select(
            pl.col('month').add(12).cast(pl.Int32),
            ...DIMENSIONS.map(name => pl.col(name)),
            amount.cast(DECIMAL).alias('basisAmount'),
            amount
              .mul(pl.lit('1.05').cast(pl.Decimal(38, 2)))
              .round(2, 'halfawayfromzero')
              .cast(pl.Decimal(18, 2))
              .alias('goalAmount'),
            pl.lit(false).alias('locked'),
          )
        await write(goals, 'goals')
        await write(sums('2025-01-01', '2026-01-01'), 'actuals')
        for (const name of ['goals', 'actuals']) await refuseTwice(name, ['month', ...DIMENSIONS])
      }),
    queries: async () => ({
      ...(await rounds('filtered page', async n => {
        const page = sales()
          .filter(
            pl
              .col('siteId')
              .eq(pl.lit(SITES[n % 9]))
              .and(amountAbove(n)),
          )
          .sort([pl.col('date'), pl.col('orderId'), pl.col('line')], [true, false, false])
          .limit(20)
        return records(page, ['quantity', 'amount'])
      })),
      ...(await rounds('sums by month', async n => {
        const by = sales().filter(amountAbove(n)).groupBy([month]).agg(pl.len().alias('rows'), pl.col('amount').sum())
        return records(by.sort('month'), ['amount'])
      })),
      ...(await rounds('sums by site and product', async n => {
        const by = sales()
          .filter(amountAbove(n))
          .groupBy(['siteId', 'productId'])
          .agg(pl.len().alias('rows'), pl.col('amount').sum())
        return records(by.sort([pl.col('siteId'), pl.col('productId')]), ['amount'])
      })),
    }),
    writes: async () => ({
      ...(await rounds('append of 10', async n => {
        const lines = Array.from({ length: 10 }, (_, i) => i + 1)
        const added = pl
          .DataFrame({ orderId: lines.map(() => `RAW-${n}`), line: lines, date: lines.map(() => '2025-12-31') })
          .lazy()
          .select(
            pl.col('orderId'),
            pl.col('line').cast(pl.Int32),
            pl.col('date').str.strptime(pl.Date, '%Y-%m-%d'),
            ...['S01', 'T001', 'C0001', null].map((value, i) =>
              pl
                .lit(value)
                .cast(pl.Utf8)
                .alias(DIMENSIONS[i] ?? ''),
            ),
            ...['quantity', 'amount'].map(name => pl.lit('1.5').cast(DECIMAL).alias(name)),
          )
        const there = await sales()
          .join(added, { on: ['orderId', 'line'], how: 'semi' })
          .select(pl.len())
          .collect()
        if (String(there.toRecords()[0]?.len) !== '0') throw new Error('a key is there')
        await write(added, `sales-${n}`)
      })),
      ...(await rounds('update of 500', async n => {
        const isChosen = pl
          .col('line')
          .eq(1)
          .and(pl.col('orderId').isIn(chosenOrders(order, n)))
        const amount = pl
          .when(isChosen)
          .then(pl.lit(`${n + 1}.25`).cast(DECIMAL))
          .otherwise(pl.col('amount'))
        await write(sales().withColumns(amount.cast(DECIMAL).alias('amount')), 'updated')
        await rm(file('updated'))
      })),
    }),
  }
  return TASKS[task]()
}

const order = JSON.parse(process.argv[2] ?? '') as Order
const figures = await (order.library === 'DuckDB' ? withDuckDB : withPolars)(order)
process.send?.({ ...figures, 'memory bytes': process.resourceUsage().maxRSS * 1024 })
