import { setTimeout as wait } from 'node:timers/promises'
import { graphql, submit } from '../src/commands/client.ts'
import { Database } from '../src/platform/postgres.ts'
import { ms, quantile, table } from './figures.ts'
import { type BenchPlatform, createModel, settled, startBenchPlatform } from './platform.ts'
import { processTree, proportionalBytes } from './processes.ts'

const SIZES = [10, 100, 1000]
/** That are made at once. */
const MAKERS = 16
const WAKES = 40
/** Of each kind of wake-up, at least. */
const ENOUGH = 20
/** One starts a manager, and the next another for those who come later. */
const STARTERS = 2
/** Before a model is woken by itself. */
const REST_MS = 500
const MIB = 2 ** 20

/**
 * What many models cost that nobody uses: each has had one row, and a version. The memory of all processes of the platform (not
 * PostgreSQL's) above that of the empty one, while their managers still hold them and when they have let go; how long it takes to
 * start with them; and how long the first append to one takes that no manager holds, beside the second to the same: of one after
 * a moment's rest, and of one right behind the other, where each has what is done behind the last beside it.
 */
export async function run(args: string[]): Promise<void> {
  const sizes = args.length > 0 ? args.map(Number) : SIZES
  if (sizes.some(models => !(models >= 2 * STARTERS))) throw new Error(`models: ${2 * STARTERS} at least`)
  const rows: string[][] = []
  for (const models of sizes) {
    await using platform = await startBenchPlatform()
    if (rows.length === 0) process.stdout.write(`${platform.versions}\n`)
    rows.push(await measured(platform, models))
  }
  process.stdout.write(
    `\nMiB are those of all processes of the platform, of shared pages their part; above the platform without models, which is the first column\n\n${table(
      [
        'models',
        'empty MiB',
        'held MiB',
        'idle MiB',
        'processes',
        'start empty ms',
        'start ms',
        'first query ms',
        'wake p50 ms',
        'wake p90 ms',
        'in a row p50 ms',
        'in a row p99 ms',
        'awake p50 ms',
      ],
      rows,
    )}`,
  )
}

async function measured(platform: BenchPlatform, models: number): Promise<string[]> {
  const db = new Database({ url: platform.databaseUrl, name: 'bench', connections: 1, onError() {} })
  try {
    const startEmpty = await platform.restart()
    // The first models start managers, whose memory is not the models'.
    for (let n = 0; n < STARTERS; n++) await append(platform, await createModel(platform.server, { kind: 'sales' }))
    await settled(db)
    const empty = await memory(platform)
    const ids: string[] = []
    const maker = async () => {
      while (ids.length < models) {
        const place = ids.push('') - 1
        const model = await createModel(platform.server, { kind: 'sales' })
        ids[place] = model
        await append(platform, model)
      }
    }
    await Promise.all(Array.from({ length: Math.min(MAKERS, models) }, maker))
    await settled(db)
    const held = await memory(platform)
    const start = await platform.restart()
    const first = await timed(() => version(platform, ids[0] ?? ''))
    const chosen = spread(ids, 2 * WAKES)
    // They start managers: the empty platform has them, too.
    for (const model of chosen.slice(0, STARTERS)) await append(platform, model)
    await settled(db)
    const idle = await memory(platform)
    const [wakes, inRow, awake]: [number[], number[], number[]] = [[], [], []]
    const [alone, others] = [chosen.filter((_, n) => n % 2 === 0), chosen.filter((_, n) => n % 2 === 1)]
    while (true) {
      for (const model of alone.slice(1)) {
        await wait(REST_MS)
        wakes.push(await timed(() => append(platform, model)))
      }
      await settled(db)
      for (const model of others.slice(1)) {
        inRow.push(await timed(() => append(platform, model)))
        awake.push(await timed(() => append(platform, model)))
      }
      if (wakes.length >= ENOUGH) break
      // Of few, each is woken several times.
      await settled(db)
      await platform.restart()
      for (const model of chosen.slice(0, STARTERS)) await append(platform, model)
      await settled(db)
    }
    const mib = (bytes: number) => (bytes / MIB).toFixed(0)
    return [
      String(models),
      mib(empty.bytes),
      mib(held.bytes - empty.bytes),
      mib(idle.bytes - empty.bytes),
      String(idle.processes),
      ms(startEmpty),
      ms(start),
      ms(first),
      ms(quantile(wakes, 0.5)),
      ms(quantile(wakes, 0.9)),
      ms(quantile(inRow, 0.5)),
      ms(quantile(inRow, 0.99)),
      ms(quantile(awake, 0.5)),
    ]
  } finally {
    await db.close()
  }
}

/** So many of them, or all, at equal distances. */
function spread<T>(all: readonly T[], most: number): T[] {
  const count = Math.min(most, all.length)
  return Array.from({ length: count }, (_, n) => all[Math.floor((n * all.length) / count)]).filter(
    each => each !== undefined,
  )
}

let order = 0

/** Settles when it has ended, told by the answer to the mutation. */
async function append({ server }: BenchPlatform, model: string): Promise<void> {
  const row = { orderId: `BENCH-${++order}`, line: 1, date: '2025-06-01', siteId: 'S01', productId: 'T001' }
  await submit(server, {
    name: 'appendSales',
    types: '$model: ID!, $rows: [SaleInput!]!',
    variables: { model, rows: [{ ...row, customerId: 'C0001', quantity: '1', amount: '1' }] },
  })
}

const version = ({ server }: BenchPlatform, model: string) =>
  graphql(
    server,
    'query ($model: ID!) { salesModel(id: $model) { snapshot { version sales(first: 1) { nodes { orderId } } } } }',
    {
      model,
    },
  )

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

async function memory({ process: { pid = 0 } }: BenchPlatform): Promise<{ bytes: number; processes: number }> {
  const pids = await processTree(pid)
  const bytes = await Promise.all(pids.map(proportionalBytes))
  return { bytes: bytes.reduce((sum, each) => sum + each, 0), processes: pids.length }
}
