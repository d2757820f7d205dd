import { graphql, submit } from '../src/commands/client.ts'
import { median, ms, quantile, table } from './figures.ts'
import { type BenchPlatform, createModel, importSales, startBenchPlatform } from './platform.ts'

const ROUNDS = 5
/** Of each round, in each way. */
const READS = 2000
/** A version is published for so many reads: 500 over 10,000. */
const READS_PER_VERSION = 20
const CLIENTS = 4

/**
 * Reads at the newest version (a page of 20 rows, and one row by its key, others each time) by four clients, from request to
 * answer: while nothing is published, while versions of another model are, and while versions of this one are. The second shows
 * what a publisher takes of the machine; what the third has more is the price of switching. Of the third, the reads that were the
 * first to be answered from a version are shown by themselves, too: a step would be there.
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
  const found = ways.map(() => [] as Read[][])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [way, { publishes }] of ways.entries()) {
      const times = await readsBeside(platform, { model, rows, publishes })
      // The first round warms up.
      if (round > 0) found[way]?.push(times)
    }
  }
  const [nothing = [], another = [], itself = []] = found
  const lines = [nothing, another, itself, ...[true, false].map(first => itself.map(ofThose(first)))]
  const figures = lines.map(rounds => [
    median(rounds.map(reads => quantile(times(reads), 0.5))),
    quantile(times(rounds.flat()), 0.99),
    quantile(times(rounds.flat()), 1),
  ])
  const ratios = (a: number, b: number) =>
    figures[a]?.map((of, index) => `${(of / (figures[b]?.[index] ?? 1)).toFixed(2)}x`)
  process.stdout.write(
    `\n${ROUNDS} rounds of ${READS} reads each way, a version published for every ${READS_PER_VERSION}; p50 is the median of the rounds' medians, p99 over all\n\n${table(
      ['milliseconds', 'reads', 'p50', 'p99', 'most'],
      [
        ...[...ways.map(({ name }) => name), '  the first at a version', '  all others'].map((name, index) => [
          name,
          String(lines[index]?.flat().length),
          ...(figures[index] ?? []).map(value => ms(value)),
        ]),
        ['a publisher beside / nothing', '', ...(ratios(1, 0) ?? [])],
        ['it is published / another is', '', ...(ratios(2, 1) ?? [])],
        ['the first / all others', '', ...(ratios(3, 4) ?? [])],
      ],
    )}`,
  )
}

async function filled({ server }: BenchPlatform, rows: number): Promise<string> {
  const model = await createModel(server, { kind: 'sales' })
  await importSales(server, model, salesCsv(rows))
  return model
}

interface Read {
  ms: number
  /** No other was answered from the version before. */
  isFirst: boolean
}

const times = (reads: readonly Read[]): number[] => reads.map(({ ms }) => ms)
const ofThose = (first: boolean) => (reads: readonly Read[]) => reads.filter(({ isFirst }) => isFirst === first)

let nth = 0

/**
 * Reads by all clients together, while versions of the model `publishes` are published, at the reads' pace; fails where one is
 * refused, or answered from an older version.
 */
async function readsBeside(
  platform: BenchPlatform,
  { model, rows, publishes }: { model: string; rows: number; publishes: string | null },
): Promise<Read[]> {
  const { server } = platform
  const reads: Read[] = []
  const query = `query ($model: ID!, $order: String!) { salesModel(id: $model) { snapshot { version
    sales(first: 20, where: { orderId: { gte: $order } }) { nodes { orderId amount } } sale(orderId: $order, line: 1) { amount } } } }`
  let newest = 0
  const client = async () => {
    let seen = 0
    while (reads.length < READS) {
      // What was asked for before might be there yet.
      const order = orderId((nth++ * 7919) % rows)
      const started = performance.now()
      const answer = await graphql<{ salesModel: { snapshot: { version: number } } }>(server, query, { model, order })
      const { version } = answer.salesModel.snapshot
      reads.push({ ms: performance.now() - started, isFirst: version > newest })
      if (version < seen) throw new Error(`version ${version} after ${seen}`)
      seen = version
      newest = Math.max(newest, version)
      wake?.()
    }
  }
  let wake: (() => void) | undefined
  const publisher = async () => {
    for (let versions = 0; publishes !== null && versions < READS / READS_PER_VERSION; versions++) {
      while (reads.length < versions * READS_PER_VERSION) await new Promise<void>(resolve => (wake = resolve))
      await publish(platform, publishes)
    }
  }
  await Promise.all([publisher(), ...Array.from({ length: CLIENTS }, client)])
  return reads
}

const orderId = (n: number): string => `O${String(n).padStart(7, '0')}`

let order = 0

async function publish({ server }: BenchPlatform, model: string): Promise<void> {
  const row = { orderId: `BENCH-${++order}`, line: 1, date: '2025-06-01', siteId: 'S1', productId: 'T1' }
  await submit(server, {
    name: 'appendSales',
    types: '$model: ID!, $rows: [SaleInput!]!',
    variables: { model, rows: [{ ...row, customerId: 'C1', quantity: '1', amount: '1' }] },
  })
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
