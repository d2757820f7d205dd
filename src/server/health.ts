import type { IntentError } from '../jobs/records.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { answerJson } from './answers.ts'
import type { Route } from './exchange.ts'
import { recent, within } from './recent.ts'

/** One thing that keeps the server from being ready. */
interface Failing {
  what: 'database' | 'store' | 'model'
  /** The model's id. */
  model?: string
  code: string
  message: string
  retryAt?: string | null
}

const DATABASE_MS = 2_000
const STORE_MS = 5_000
/** The store is asked, and written to, at most this often. */
const STORE_EVERY_MS = 5_000
/** So many blocked models are named. */
const MAX_MODELS = 100

/** `/health/live`: the process answers. `/health/ready`: it can do its work; else 503, naming all that fails. */
export function healthRoutes({ db, objects }: { db: Database; objects: ObjectStore }): Route[] {
  const models = recent(0, () => blockedModels(db))
  const store = recent(STORE_EVERY_MS, () => objects.check())
  return [
    { method: 'GET', path: '/health/live', handle: exchange => answerJson(exchange, 200, { status: 'live' }) },
    {
      method: 'GET',
      path: '/health/ready',
      async handle(exchange) {
        const [blocked, away] = await Promise.all([
          within(DATABASE_MS, models()).catch(error => [
            failing('database', 'The control database does not answer.', error),
          ]),
          within(STORE_MS, store()).then(
            () => [],
            error => [failing('store', 'The object store does not answer.', error)],
          ),
        ])
        const all = [...blocked, ...away]
        if (all.length === 0) return answerJson(exchange, 200, { status: 'ready' })
        const message = all.map(({ what, model, message }) => `${model ?? what}: ${message}`).join(' ')
        answerJson(exchange, 503, { status: 'not ready', error: { code: 'UNAVAILABLE', message }, failing: all })
      },
    },
  ]
}

/** Old versions of a blocked model are served, but what is asked of it waits: somebody should look. */
async function blockedModels(db: Database): Promise<Failing[]> {
  const models = await db.query<{ id: string; blocked: IntentError; retryAt: string | null }>(
    `SELECT id, blocked, retry_at AS "retryAt" FROM goal_model
      WHERE blocked IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT $1`,
    [MAX_MODELS],
  )
  return models.map(({ id, blocked: { code, message }, retryAt }) => ({
    what: 'model',
    model: id,
    code,
    message,
    retryAt,
  }))
}

function failing(what: Failing['what'], otherwise: string, error: unknown): Failing {
  const { code, message } = error instanceof TeatreeError ? error : { code: 'UNAVAILABLE', message: otherwise }
  return { what, code, message }
}
