import { graphql, submit } from '../src/commands/client.ts'
import { median, ms, quantile, table } from './figures.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'

const ROUNDS = 5
const READS = 400
const CLIENTS = 4

/**
 * Reads at the newest version (a page of 20 rows, and one row by its key) by four clients, from request to answer: while
 * nothing is published, and while another client publishes one version after the other. The second is the first's peer.
 */
export async function run(args: string[]): Promise<void> {
  const rows = Number(args[0] ?? 200_000)
  await using platform = await startBenchPlatform()
  process.stdout.write(`${platform.versions} · ${rows} rows\n`)
  const model = await createModel(platform.server, { kind: 'sales' })
  await importSales(platform.server, model, salesCsv(rows))
  const quiet: number[][] = []
  const busy: number[][] = []
  let published = 0
  for (let round = 0; round <= ROUNDS; round++) {
    const alone = await reads(platform, model)
    const publisher = publishOn(platform, model)
    const beside = await reads(platform, model).finally(publisher.stop)
    const versions = await publisher.stop()
    // The first round warms up.
    if (round === 0) continue
    quiet.push(alone)
    busy.push(beside)
    published += versions
  }
  const figures = [quiet, busy].map(rounds => [
    median(rounds.map(times => quantile(times, 0.5))),
    quantile(rounds.flat(), 0.99),
  ])
  const ratio = (index: number) => `${((figures[1]?.[index] ?? 0) / (figures[0]?.[index] ?? 1)).toFixed(2)}x`
  process.stdout.write(
    `\n${ROUNDS} rounds of ${READS} reads each way, ${published} versions published; p50 is the median of the rounds' medians, p99 over all\n\n${table(
      ['milliseconds', 'p50', 'p99'],
      [
        ...['nothing published', 'while publishing'].map((name, index) => [
          name,
          ...(figures[index] ?? []).map(value => ms(value)),
        ]),
        ['ratio', ratio(0), ratio(1)],
      ],
    )}`,
  )
}

/** The times of so many reads by all clients together, in milliseconds; fails where one is refused, or reads an older version. */
async function reads({ server }: BenchPlatform, model: string): Promise<number[]> {
  const times: number[] = []
  const query = `query ($model: ID!) { salesModel(id: $model) { snapshot { version
    sales(first: 20, orderBy: [{ column: orderId }]) { nodes { orderId amount } } sale(orderId: "O0000007", line: 1) { amount } } } }`
  const client = async () => {
    let seen = 0
    while (times.length < READS) {
      const started = performance.now()
      const answer = await graphql<{ salesModel: { snapshot: { version: number } } }>(server, query, { model })
      times.push(performance.now() - started)
      const { version } = answer.salesModel.snapshot
      if (version < seen) throw new Error(`version ${version} after ${seen}`)
      seen = version
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return times
}

let order = 0

/** Publishes one version after the other until it is stopped, and says how many. */
function publishOn({ server }: BenchPlatform, model: string): { stop(): Promise<number> } {
  let isOver = false
  const publishing = (async () => {
    let versions = 0
    for (; !isOver; versions++) {
      const row = { orderId: `BENCH-${++order}`, line: 1, date: '2025-06-01', siteId: 'S1', productId: 'T1' }
      await submit(server, {
        name: 'appendSales',
        types: '$model: ID!, $rows: [SaleInput!]!',
        variables: { model, rows: [{ ...row, customerId: 'C1', quantity: '1', amount: '1' }] },
      })
    }
    return versions
  })()
  return {
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
      return `O${String(n).padStart(7, '0')},1,2024-05-${day},S${n % 50},T${n % 500},C${n % 9000},${n % 7},${n % 900}.25\n`
    })
    yield Buffer.from(lines.join(''))
  }
}
