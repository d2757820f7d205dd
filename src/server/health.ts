import type { Launcher } from '../jobs/launcher.ts'
import type { IntentError } from '../jobs/records.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Queryable } from '../platform/postgres.ts'
import { answerJson } from './answers.ts'
import type { Route } from './exchange.ts'
import { recent, within } from './recent.ts'

/** One thing that keeps the server from being ready. */
interface Failing {
  what: 'database' | 'store' | 'manager' | 'model' | 'files'
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
/** Work that waits this long while nobody holds its model: longer than a manager takes to come up. */
const UNHELD_SECONDS = 60
/** So many models of a sort are named. */
const MAX_MODELS = 100

/** `/health/live`: the process answers. `/health/ready`: it can do its work; else 503, naming all that fails. */
export function healthRoutes(look: () => Promise<Failing[]>): Route[] {
  return [
    { method: 'GET', path: '/health/live', handle: exchange => answerJson(exchange, 200, { status: 'live' }) },
    {
      method: 'GET',
      path: '/health/ready',
      async handle(exchange) {
        const all = await look()
        if (all.length === 0) return answerJson(exchange, 200, { status: 'ready' })
        const message = all.map(({ what, model, message }) => `${model ?? what}: ${message}`).join(' ')
        answerJson(exchange, 503, { status: 'not ready', error: { code: 'UNAVAILABLE', message }, failing: all })
      },
    },
  ]
}

/** Of the platform: the control database, the models in it, their managers, and the store. */
export function platformHealth({
  db,
  objects,
  launcher,
}: {
  db: Queryable
  objects: ObjectStore
  launcher: Pick<Launcher, 'fault'>
}): () => Promise<Failing[]> {
  const models = recent(0, async () => (await Promise.all([blockedModels(db), unheldModels(db)])).flat())
  const store = recent(STORE_EVERY_MS, () => objects.check())
  return async () => {
    const [blocked, away] = await Promise.all([
      within(DATABASE_MS, models()).catch(error => [
        failing('database', 'The control database does not answer.', error),
      ]),
      within(STORE_MS, store()).then(
        () => [],
        error => [failing('store', 'The object store does not answer.', error)],
      ),
    ])
    const fault = launcher.fault()
    return [...blocked, ...(fault === null ? [] : [failing('manager', fault, null)]), ...away]
  }
}

/** Of pulled files. */
export const filesHealth = (check: () => Promise<void>) => (): Promise<Failing[]> =>
  check().then(
    () => [],
    error => [failing('files', 'The pulled files cannot be read.', error)],
  )

/** Old versions of a blocked model are served, but what is asked of it waits: somebody should look. */
async function blockedModels(db: Queryable): Promise<Failing[]> {
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

/** Nothing is wrong with these that a manager could write down: they have none. */
async function unheldModels(db: Queryable): Promise<Failing[]> {
  const models = await db.query<{ id: string }>(
    `SELECT m.id FROM goal_model m
       JOIN LATERAL (SELECT submitted_at FROM intent WHERE model = m.id AND status IN ('QUEUED', 'RUNNING')
                      ORDER BY seq LIMIT 1) i ON true
       LEFT JOIN model_lease l ON l.model = m.id
      WHERE m.deleted_at IS NULL AND m.blocked IS NULL
        AND greatest(i.submitted_at, l.expires_at) < clock_timestamp() - make_interval(secs => $2)
      ORDER BY m.id LIMIT $1`,
    [MAX_MODELS, UNHELD_SECONDS],
  )
  const message = 'Intents wait, and no manager holds the model.'
  return models.map(({ id }) => ({ what: 'model', model: id, code: 'UNAVAILABLE', message }))
}

function failing(what: Failing['what'], otherwise: string, error: unknown): Failing {
  const { code, message } = error instanceof TeatreeError ? error : { code: 'UNAVAILABLE', message: otherwise }
  return { what, code, message }
}
