import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { Logger, makeWorkerUtils, run as runWorker } from 'graphile-worker'
import { PgBoss } from 'pg-boss'
import { Leases } from '../src/jobs/lease.ts'
import { Database } from '../src/platform/postgres.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'
import { type BenchPlatform, createModel, startBenchPlatform } from './platform.ts'
import { stop } from './processes.ts'

const INTENTS = 50_000
const CLIENTS = 64
const MODELS = 100
/** Of the submits, ours and the peer's in turn. */
const ROUNDS = 5
/** Of what is drained, one model and many in turn. */
const DRAINS = 3
/** What is slow is stopped after this, and its rate is that of what it did. */
const MOST_MS = 60_000
const MIXED_MS = 60_000
const BATCH = 500

/**
 * What a line takes and gives: mutations of one row a second that are accepted for good, from 64 clients over HTTP, beside the
 * same server whose resolver does nothing; then how fast what waits is ended, in the line of one model and spread over 100,
 * until all of it is in a published version, beside queues whose jobs do nothing at all; then both together for a minute.
 */
export async function run(args: string[]): Promise<void> {
  const intents = Number(args[0] ?? INTENTS)
  await using stack = new AsyncDisposableStack()
  const platform = stack.use(await startBenchPlatform())
  process.stdout.write(
    `${platform.versions} · pg-boss ${versionOf('pg-boss')} · graphile-worker ${versionOf('graphile-worker')} · ${intents} one-row appends\n`,
  )
  const db = stack.adopt(
    new Database({ url: platform.databaseUrl, name: 'bench', connections: 2, onError() {} }),
    open => open.close(),
  )
  const held = stack.use(new HeldModels(db))
  const models = async (count: number) => {
    const made: string[] = []
    while (made.length < count) made.push(await createModel(platform.server, { kind: 'sales' }))
    for (const model of made) await held.hold(model)
    return made
  }
  const submitTo = (models: readonly string[]) =>
    clients(platform.url, n => (n < intents ? appendTo(models[n % models.length] ?? '', n) : null))
  const rates = { alone: [] as number[], spread: [] as number[] }
  let submits: string[][] = []
  for (let round = 0; round < DRAINS; round++) {
    const [one = ''] = await models(1)
    if (round === 0) submits = await submitted(platform, one, intents)
    else await submitTo([one])
    rates.alone.push(await drained(db, held, [one]))
    const many = await models(MODELS)
    await submitTo(many)
    rates.spread.push(await drained(db, held, many))
  }
  const [alone, spread] = [median(rates.alone), median(rates.spread)]

  const fifo = await bossRate(platform.peerUrl, intents, 'key_strict_fifo')
  const standard = await bossRate(platform.peerUrl, intents, 'standard')
  const graphile = await graphileRate(platform.peerUrl, intents)
  const rows: [string, number][] = [
    ['one model', alone],
    [`spread over ${MODELS}`, spread],
    ['pg-boss, key_strict_fifo, empty jobs', fifo],
    [`pg-boss, standard, by ${BATCH}, empty jobs`, standard],
    ['graphile-worker, one at a time, empty jobs', graphile],
  ]
  process.stdout.write(
    `\nwhat waits is ended; of the first two medians of ${DRAINS} rounds, ${shown(rates.alone)} and ${shown(rates.spread)} a second\n\n${table(
      ['', 'a second', '/ key_strict_fifo', '/ standard', '/ graphile', '/ one model'],
      rows.map(([name, rate]) => [
        name,
        rate.toFixed(0),
        ...[fifo, standard, graphile, alone].map(peer => `${(rate / peer).toFixed(2)}x`),
      ]),
    )}\nsubmitted from ${CLIENTS} clients, medians of ${ROUNDS} rounds\n\n${table(
      ['', 'a second', 'p50 ms', 'p99 ms', '/ empty'],
      submits,
    )}\n${await mixed(platform, db)}`,
  )
}

const shown = (rates: readonly number[]) => rates.map(rate => rate.toFixed(0)).join(', ')

/** Appends that wait, for nobody takes them: beside them the same server with an empty resolver, in turn. */
async function submitted(platform: BenchPlatform, model: string, intents: number): Promise<string[][]> {
  const empty = await emptyResolver(platform)
  try {
    const contestants = [
      { name: 'accepted', url: platform.url, model },
      { name: 'empty resolver', url: empty.url, model: empty.model },
    ]
    const rates = contestants.map(() => [] as number[])
    const times = contestants.map(() => [] as number[])
    for (let round = 0; round < ROUNDS; round++)
      for (const [index, { url, model }] of contestants.entries()) {
        const from = (round * intents) / ROUNDS
        const each = (n: number) => (n < intents / ROUNDS ? appendTo(model, from + n) : null)
        const taken = await clients(url, each)
        rates[index]?.push(taken.times.length / taken.seconds)
        times[index]?.push(...taken.times)
      }
    const [ours = 0, peer = 0] = rates.map(median)
    return contestants.map(({ name }, index) => [
      name,
      (index === 0 ? ours : peer).toFixed(0),
      ms(quantile(times[index] ?? [], 0.5)),
      ms(quantile(times[index] ?? [], 0.99)),
      `${((index === 0 ? ours : peer) / peer).toFixed(2)}x`,
    ])
  } finally {
    await stop(empty.child)
  }
}

/** A second platform in a process of its own, whose submits are answered with an intent that was accepted once. */
async function emptyResolver(platform: BenchPlatform) {
  const child = fork(new URL('peers/empty-resolver.ts', import.meta.url), [await platform.database('empty')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const [{ url, model }] = await once(child, 'message')
  return { child, url: url as string, model: model as string }
}

/** Models that are held by nobody but this process, so that what is submitted waits in their lines. */
class HeldModels implements Disposable {
  readonly #leases: Leases
  readonly #timer: NodeJS.Timeout

  constructor(db: Database) {
    this.#leases = new Leases(db, randomUUID())
    this.#timer = setInterval(() => void this.#leases.renew(), 2000)
  }

  async hold(model: string): Promise<void> {
    while ((await this.#leases.acquire(model)) === null) await wait(100)
  }

  async letGo(models: readonly string[]): Promise<void> {
    await Promise.all(models.map(model => this.#leases.release(model)))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

/** How many a second are ended once the models may be managed, from the first that is begun, by the database's clock. */
async function drained(db: Database, held: HeldModels, models: readonly string[]): Promise<number> {
  await held.letGo(models)
  for (let waits = true; waits; ) {
    await wait(200)
    // To count all of them as often would be a part of what is measured.
    const [line] = await db.query<{ waits: boolean }>(
      `SELECT EXISTS (SELECT FROM intent WHERE model = ANY($1) AND status IN ('QUEUED', 'RUNNING')) AS waits`,
      [models],
    )
    waits = line?.waits !== false
  }
  const [line] = await db.query<{ ended: number; failed: number; seconds: number }>(
    `SELECT count(*)::int AS ended, (count(*) FILTER (WHERE status = 'FAILED'))::int AS failed,
            extract(epoch FROM max(ended_at) - min(started_at))::float8 AS seconds
       FROM intent WHERE model = ANY($1)`,
    [models],
  )
  if (!line || line.failed > 0) throw new Error(`${line?.failed} appends failed`)
  return line.ended / line.seconds
}

const APPEND = 'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id status } }'

function appendTo(model: string, n: number): string {
  const row = { orderId: `B${n}`, line: 1, date: '2025-06-01', siteId: 'S01', productId: 'T001' }
  const rows = [{ ...row, customerId: 'C0001', quantity: '1', amount: '1' }]
  return JSON.stringify({ query: APPEND, variables: { model, rows } })
}

const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })

async function post(url: string, body: string): Promise<void> {
  const sent = request(`${url}/graphql`, { agent, method: 'POST', headers: { 'content-type': 'application/json' } })
  const [response] = await once(sent.end(body), 'response')
  const answer = await text(response)
  if (response.statusCode !== 200 || answer.includes('"errors"')) throw new Error(answer.slice(0, 500))
}

/** Sends what there is to send, each client its next as soon as it is answered; how long each took, in milliseconds. */
async function clients(url: string, next: (n: number) => string | null) {
  const times: number[] = []
  const began = performance.now()
  let n = 0
  const client = async () => {
    for (let body = next(n++); body !== null; body = next(n++)) {
      const asked = performance.now()
      await post(url, body)
      times.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return { times, seconds: (performance.now() - began) / 1000 }
}

/** Submit and drain together: the length of the line, and the time from acceptance to the published version. */
async function mixed(platform: BenchPlatform, db: Database): Promise<string> {
  const model = await createModel(platform.server, { kind: 'sales' })
  const began = performance.now()
  const lengths: number[] = []
  let isOver = false
  const watching = (async () => {
    for (; !isOver; await wait(250)) {
      const [line] = await db.query<{ length: number }>(
        `SELECT count(*)::int AS length FROM intent WHERE model = $1 AND status IN ('QUEUED', 'RUNNING')`,
        [model],
      )
      lengths.push(line?.length ?? 0)
    }
  })()
  const taken = await clients(platform.url, n => (performance.now() - began < MIXED_MS ? appendTo(model, n) : null))
  isOver = true
  await watching
  const visible = await visibleAfter(db, model)
  return `together, for ${MIXED_MS / 1000} s from ${CLIENTS} clients\n\n${table(
    ['', 'a second', 'p50 ms', 'p99 ms'],
    [
      ['accepted', (taken.times.length / taken.seconds).toFixed(0), ...figures(taken.times)],
      ['from acceptance to the version', (visible.length / taken.seconds).toFixed(0), ...figures(visible)],
    ],
  )}the line's length: median ${median(lengths)}, at most ${Math.max(...lengths)}\n`
}

const figures = (times: readonly number[]) => [ms(quantile(times, 0.5)), ms(quantile(times, 0.99))]

/** Of each intent, in milliseconds by the database's clock, when all have ended. */
async function visibleAfter(db: Database, model: string): Promise<number[]> {
  for (;;) {
    const ended = await db.query<{ ms: number | null }>(
      'SELECT extract(epoch FROM ended_at - submitted_at)::float8 * 1000 AS ms FROM intent WHERE model = $1',
      [model],
    )
    const times = ended.flatMap(({ ms }) => ms ?? [])
    if (times.length === ended.length) return times
    await wait(100)
  }
}

/** Jobs of one key one after the other, or any of them by 500; fetched and completed again and again. */
async function bossRate(url: string, jobs: number, policy: 'key_strict_fifo' | 'standard'): Promise<number> {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false })
  boss.on('error', () => {})
  await boss.start()
  const queue = `bench-${policy}`
  await boss.createQueue(queue, { policy })
  for (let sent = 0; sent < jobs; sent += 1000)
    await boss.insert(
      queue,
      Array.from({ length: Math.min(1000, jobs - sent) }, () => ({ singletonKey: 'one', data: {} })),
    )
  const batchSize = policy === 'standard' ? BATCH : 1
  const rate = await rateOf(async () => {
    const fetched = await boss.fetch(queue, { batchSize })
    if (fetched.length > 0)
      await boss.complete(
        queue,
        fetched.map(({ id }) => id),
      )
    return fetched.length
  })
  await boss.stop({ graceful: false, close: true })
  return rate
}

/** How many a second are done, until there are none left or it takes too long. */
async function rateOf(some: () => Promise<number>): Promise<number> {
  const began = performance.now()
  let done = 0
  for (let last = await some(); last > 0 && performance.now() - began < MOST_MS; last = await some()) done += last
  return done / ((performance.now() - began) / 1000)
}

async function graphileRate(url: string, jobs: number): Promise<number> {
  const quiet = { logger: new Logger(() => () => {}) }
  const utils = await makeWorkerUtils({ connectionString: url, ...quiet })
  await utils.migrate()
  for (let sent = 0; sent < jobs; sent += 1000)
    await utils.addJobs(
      Array.from({ length: Math.min(1000, jobs - sent) }, () => ({
        identifier: 'bench',
        queueName: 'one',
        payload: {},
      })),
    )
  const over = Promise.withResolvers<void>()
  let done = 0
  const began = performance.now()
  const runner = await runWorker({
    connectionString: url,
    concurrency: 1,
    noHandleSignals: true,
    ...quiet,
    taskList: {
      bench: async () => {
        done += 1
        if (done === jobs || performance.now() - began > MOST_MS) over.resolve()
      },
    },
  })
  await over.promise
  const rate = done / ((performance.now() - began) / 1000)
  await runner.stop()
  await utils.release()
  return rate
}
