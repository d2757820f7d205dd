import { PgBoss } from 'pg-boss'
import type { Transaction } from '../platform/postgres.ts'

/**
 * The queues of the models, on pg-boss. A job carries an intent's id and says only "there is work": pg-boss keeps no
 * order, does not fence, and drops what is past its retention, so order, outcome and truth are the ledger's. Jobs are
 * sent in the transaction that accepts an intent and settled in the one that publishes it.
 */
export class Queue {
  readonly #boss: PgBoss

  private constructor(boss: PgBoss) {
    this.#boss = boss
  }

  /** `supervise`: whether this process does pg-boss's maintenance; `listen`: whether it will work and wants to be woken. */
  static async start(options: {
    url: string
    name: string
    supervise: boolean
    listen: boolean
    connections: number
    onError: (error: Error) => void
  }): Promise<Queue> {
    const boss = new PgBoss({
      connectionString: unhurried(options.url),
      application_name: `${options.name} queue`,
      max: options.connections,
      schema: SCHEMA,
      useListenNotify: options.listen,
      supervise: options.supervise,
      schedule: false,
      migrate: false,
    })
    // Without this listener a lost connection would end the process.
    boss.on('error', options.onError)
    await boss.start()
    return new Queue(boss)
  }

  /** Makes the model's queue; one that is there stays as it is. */
  async create(model: string): Promise<void> {
    await this.#boss.createQueue(queueOf(model), {
      policy: 'standard',
      notify: true,
      // A job is only a wake-up; the line's own backoff and the reconciler decide when to try again.
      retryLimit: 1000,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 60,
      expireInSeconds: 3600,
      deleteAfterSeconds: 3600,
    })
  }

  async drop(model: string): Promise<void> {
    await this.#boss.deleteQueue(queueOf(model))
  }

  /**
   * Sends a job for each intent as part of the transaction. It is fetched only where the notice of the same transaction has
   * woken nobody: most have been settled by then, and who has to end them has the database to himself.
   */
  async send(tx: Transaction, model: string, intents: readonly string[]): Promise<void> {
    const jobs = intents.map(id => ({ id, data: { intent: id }, startAfter: JOB_AFTER_SECONDS }))
    const queue = queueOf(model)
    await this.#boss.insert(queue, jobs, { db: executor(tx, queue) })
  }

  /** A job anew for an intent whose own was lost: past pg-boss's retention, or never sent. */
  async resend(model: string, intent: string): Promise<void> {
    await this.#boss.send(queueOf(model), { intent })
  }

  /**
   * Settles the jobs of intents that have ended, fetched or not, as part of the transaction that ends them: they are removed.
   * To keep them as completed would be to write each anew, and to remove it later all the same.
   */
  async settle(tx: Transaction, model: string, intents: readonly string[]): Promise<void> {
    if (intents.length === 0) return
    const queue = queueOf(model)
    await this.#boss.deleteJob(queue, [...intents], { db: executor(tx, queue) })
  }

  /** Calls `wake` whenever jobs wait, until the answer is called. `wake` settles when what waited has been done. */
  async work(model: string, wake: () => Promise<void>): Promise<() => Promise<void>> {
    const queue = queueOf(model)
    // One says all that there is to say. The others are settled with their intents, and to fetch them first would be as much again.
    const options = { batchSize: 1, pollingIntervalSeconds: 2 }
    const id = await this.#boss.work(queue, options, async () => wake())
    return () => this.#boss.offWork(queue, { id, wait: false })
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: true, close: true, timeout: STOP_MS })
  }
}

/**
 * What pg-boss does by itself, as to fetch a job, is not waited for until it is on disk: of jobs that are lost with a crash
 * of PostgreSQL the dispatcher sends others. What is sent and settled is part of transactions that are waited for.
 */
function unhurried(url: string): string {
  const to = new URL(url)
  const own = to.searchParams.get('options')
  to.searchParams.set('options', `${own === null ? '' : `${own} `}-c synchronous_commit=off`)
  return to.href
}

/** For workers that are yet to be done; their lines have ended by then. Part of what a launcher leaves for the end. */
const STOP_MS = 2000
const SCHEMA = 'pgboss'
const JOB_AFTER_SECONDS = 5
const queueOf = (model: string) => `model/${model}`

/**
 * Runs pg-boss's statements in a transaction, where each text is kept prepared by its connection. Some have the queue's name in
 * them: as a parameter it leaves one text for all models, of which each would take a fifth of a megabyte, for ever.
 */
const executor = (tx: Transaction, queue: string) => ({
  async executeSql(text: string, values: unknown[] = []) {
    const shared = text.replaceAll(`'${queue}'`, () => `$${values.length + 1}::text`)
    return { rows: await tx.query(shared, shared === text ? values : [...values, queue]) }
  },
})

/** Installs pg-boss's schema, or brings it to the release that is installed here. */
export async function installQueue(url: string): Promise<void> {
  const boss = new PgBoss({ connectionString: url, schema: SCHEMA, max: 2, supervise: false, schedule: false })
  boss.on('error', () => {})
  await boss.start()
  await boss.stop({ graceful: false, close: true })
}
