import { graphql, submit } from '../src/commands/client.ts'
import { median, ms, quantile, table } from './figures.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'

const ROUNDS = 5
/** Of each round, in each way; a round goes on until both are there. */
const READS = 2000
const VERSIONS = 100
const CLIENTS = 4

/**
 * Reads at the newest version (a page of 20 rows, and one row by its key, others each time) by four clients, from request to
 * answer: while nothing is published, while another client publishes one version after the other of another model, and while it
 * does of this one. The second shows what a publisher takes of the machine; what the third has more is the price of switching.
 */
export async function run(args: string[]): Promise<void> {
  const rows = Number(args[0] ?? 200_000)
  await using platform = await startBenchPlatform()
  process.stdout.write(`${platform.versions} · ${rows} rows\n`)
  const [model, other] = [await filled(platform, rows), await filled(platform, rows)]
  const ways = [
    { name: 'nothing published', publishes: null },
    { name: 'while another is published', publishes: other },
    { name: 'while it is published', publishes: model },
  ]
  const found = ways.map(() => [] as number[][])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [way, { publishes }] of ways.entries()) {
      const publisher = publishes === null ? null : publishOn(platform, publishes)
      const times = await reads(platform, { model, rows, publisher }).finally(() => publisher?.stop())
      // The first round warms up.
      if (round > 0) found[way]?.push(times)
    }
  }
  const figures = found.map(rounds => [
    median(rounds.map(times => quantile(times, 0.5))),
    quantile(rounds.flat(), 0.99),
    quantile(rounds.flat(), 1),
  ])
  const ratios = (a: number, b: number) =>
    figures[a]?.map((of, index) => `${(of / (figures[b]?.[index] ?? 1)).toFixed(2)}x`)
  process.stdout.write(
    `\n${ROUNDS} rounds of at least ${READS} reads and ${VERSIONS} versions each way; ${found.map(rounds => rounds.flat().length).join(', ')} reads; p50 is the median of the rounds' medians, p99 over all\n\n${table(
      ['milliseconds', 'p50', 'p99', 'most'],
      [
        ...ways.map(({ name }, index) => [name, ...(figures[index] ?? []).map(value => ms(value))]),
        ['a publisher beside / nothing', ...(ratios(1, 0) ?? [])],
        ['it is published / another is', ...(ratios(2, 1) ?? [])],
      ],
    )}`,
  )
}

async function filled({ server }: BenchPlatform, rows: number): Promise<string> {
  const model = await createModel(server, { kind: 'sales' })
  await importSales(server, model, salesCsv(rows))
  return model
}

let nth = 0

/** The times of the reads by all clients together, in milliseconds; fails where one is refused, or reads an older version. */
async function reads(
  { server }: BenchPlatform,
  { model, rows, publisher }: { model: string; rows: number; publisher: Publisher | null },
): Promise<number[]> {
  const times: number[] = []
  const query = `query ($model: ID!, $order: String!) { salesModel(id: $model) { snapshot { version
    sales(first: 20, where: { orderId: { gte: $order } }) { nodes { orderId amount } } sale(orderId: $order, line: 1) { amount } } } }`
  const client = async () => {
    let seen = 0
    while (times.length < READS || (publisher && publisher.versions < VERSIONS)) {
      // What was asked for before might be there yet.
      const order = orderId((nth++ * 7919) % rows)
      const started = performance.now()
      const answer = await graphql<{ salesModel: { snapshot: { version: number } } }>(server, query, { model, order })
      times.push(performance.now() - started)
      const { version } = answer.salesModel.snapshot
      if (version < seen) throw new Error(`version ${version} after ${seen}`)
      seen = version
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return times
}

const orderId = (n: number): string => `O${String(n).padStart(7, '0')}`

interface Publisher {
  /** How many it has published. */
  readonly versions: number
  stop(): Promise<void>
}

let order = 0

/** Publishes one version after the other until it is stopped. */
function publishOn({ server }: BenchPlatform, model: string): Publisher {
  let versions = 0
  let isOver = false
  const publishing = (async () => {
    while (!isOver) {
      const row = { orderId: `BENCH-${++order}`, line: 1, date: '2025-06-01', siteId: 'S1', productId: 'T1' }
      await submit(server, {
        name: 'appendSales',
        types: '$model: ID!, $rows: [SaleInput!]!',
        variables: { model, rows: [{ ...row, customerId: 'C1', quantity: '1', amount: '1' }] },
      })
      versions += 1
    }
  })()
  return {
    get versions() {
      return versions
    },
    stop() {
      isOver = true
      return publishing
    },
  }
}

async function* salesCsv(rows: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from('orderId,line,date,siteId,productId,customerId,quantity,amount\n')
  for (let from = 0; from < rows; from += 5000) {
    const lines = Array.from({ length: Math.min(5000, rows - from) }, (_, index) => {
      const n = from + index
      const day = String((n % 28) + 1).padStart(2, '0')
      return `${orderId(n)},1,2024-05-${day},S${n % 50},T${n % 500},C${n % 9000},${n % 7},${n % 900}.25\n`
    })
    yield Buffer.from(lines.join(''))
  }
}
