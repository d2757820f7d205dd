import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { graphql, submit } from '../src/commands/client.ts'
import { Database } from '../src/platform/postgres.ts'
import { median, ms, quantile, table } from './figures.ts'
import { type BenchPlatform, createModel, importSales, settled, startBenchPlatform } from './platform.ts'
import { salesCsv } from './sales.ts'

const MODELS = 50
/** Beside them, of which each has had one row, and that nobody uses. */
const IDLE = 950
/** That are made at once. */
const MAKERS = 16
/** Each model gets an append once in so long. */
const EVERY_MS = 5000
const ROUNDS = 3
const ROUND_MS = 20_000
const IMPORTED = 1_000_000
const PART_BYTES = 1 << 16
/** Its functions crash and hang: those that tests of faults run. */
const KINDS = fileURLToPath(new URL('../test/support/trial-kinds', import.meta.url))

/** What goes on in another model meanwhile, until the signal. */
interface Trouble {
  name: string
  make(platform: BenchPlatform, signal: AbortSignal): Promise<void>
}

/**
 * Appends to 50 of 1,000 models, each now and then, from the mutation to the end of its intent: alone, and while another model has a
 * function that kills its manager, again and again; a file of a million rows imported; and a folder that nothing can be written to.
 */
export async function run(args: string[]): Promise<void> {
  const models = Number(args[0] ?? MODELS)
  await using platform = await startBenchPlatform({ env: { TEATREE_KINDS: KINDS } })
  process.stdout.write(`${platform.versions} · ${models} models, and ${IDLE} without work\n`)
  const file = Buffer.concat(await Array.fromAsync(salesCsv(IMPORTED)))
  const neighbours: string[] = []
  for (let count = 0; count < models; count++) neighbours.push(await createModel(platform.server, { kind: 'trial' }))
  let made = 0
  const maker = async () => {
    while (made++ < IDLE) await append(platform, await createModel(platform.server, { kind: 'trial' }))
  }
  await Promise.all(Array.from({ length: MAKERS }, maker))
  const db = new Database({ url: platform.databaseUrl, name: 'bench', connections: 1, onError() {} })
  await settled(db).finally(() => db.close())
  const troubles: Trouble[] = [
    { name: 'nothing', make: async () => {} },
    { name: 'a function that kills its manager', make: crashes },
    { name: `imports of ${IMPORTED} rows`, make: importsOf(file) },
    { name: 'a model that is BLOCKED', make: blocked },
  ]
  const found = troubles.map(() => [] as number[][])
  for (let round = 0; round <= ROUNDS; round++)
    for (const [index, { make }] of troubles.entries()) {
      const stop = new AbortController()
      const trouble = make(platform, stop.signal)
      const times = await appends(platform, neighbours)
      stop.abort()
      await trouble
      // The first round warms up.
      if (round > 0) found[index]?.push(times)
    }
  const figures = found.map(rounds => [
    median(rounds.map(times => quantile(times, 0.5))),
    quantile(rounds.flat(), 0.99),
    quantile(rounds.flat(), 1),
  ])
  process.stdout.write(
    `\n${ROUNDS} rounds of ${ROUND_MS / 1000} s each way; p50 is the median of the rounds' medians, p99 over all\n\n${table(
      ['beside', 'appends', 'p50 ms', 'p99 ms', 'most ms', 'p50 / alone', 'p99 / alone'],
      troubles.map(({ name }, index) => [
        name,
        String(found[index]?.flat().length),
        ...(figures[index] ?? []).map(ms),
        ...[0, 1].map(at => `${((figures[index]?.[at] ?? 0) / (figures[0]?.[at] ?? 1)).toFixed(2)}x`),
      ]),
    )}`,
  )
}

let entry = 0

/** Settles when it has ended. */
async function append({ server }: BenchPlatform, model: string): Promise<void> {
  await submit(server, {
    name: 'appendTrialEntries',
    types: '$model: ID!, $rows: [TrialEntryInput!]!',
    variables: { model, rows: [{ entryId: `E${++entry}` }] },
  })
}

/** How long each append to the models took until it had ended, in milliseconds. */
async function appends(platform: BenchPlatform, models: readonly string[]): Promise<number[]> {
  const times: number[] = []
  const began = performance.now()
  const client = async (model: string, place: number) => {
    for (let due = (place * EVERY_MS) / models.length; due < ROUND_MS; due += EVERY_MS) {
      await wait(Math.max(0, began + due - performance.now()))
      const asked = performance.now()
      await append(platform, model)
      times.push(performance.now() - asked)
    }
  }
  await Promise.all(models.map(client))
  return times
}

async function crashes({ server }: BenchPlatform, signal: AbortSignal): Promise<void> {
  const model = await createModel(server, { kind: 'trial' })
  const crash = 'mutation ($model: ID!) { trialCrash(model: $model) { id } }'
  const status = 'query ($id: ID!) { intent(id: $id, waitMs: 1000) { status } }'
  while (!signal.aborted) {
    const { trialCrash } = await graphql<{ trialCrash: { id: string } }>(server, crash, { model })
    for (let state = 'QUEUED'; state !== 'PARKED'; )
      state = (await graphql<{ intent: { status: string } }>(server, status, { id: trialCrash.id })).intent.status
  }
}

/** The file is made beforehand: who makes it here is not the platform. */
const importsOf =
  (file: Buffer) =>
  async ({ server }: BenchPlatform, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) await importSales(server, await createModel(server, { kind: 'sales' }), inParts(file))
  }

async function* inParts(file: Buffer) {
  for (let at = 0; at < file.length; at += PART_BYTES) yield file.subarray(at, at + PART_BYTES)
}

async function blocked({ server, dataDir }: BenchPlatform, signal: AbortSignal): Promise<void> {
  const model = await createModel(server, { kind: 'trial' })
  const folder = join(dataDir, 'models', model)
  await rm(folder, { recursive: true, force: true })
  await writeFile(folder, '')
  const append = 'mutation ($model: ID!) { appendTrialEntries(model: $model, rows: [{ entryId: "E" }]) { id } }'
  await graphql(server, append, { model })
  await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
  await rm(folder)
}
