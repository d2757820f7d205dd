import type { Launcher } from '../jobs/launcher.ts'
import { archiveLag } from '../jobs/manager-states.ts'
import type { Queryable } from '../platform/postgres.ts'
import { joinMetrics, METRICS_CONTENT_TYPE, metrics, type Telemetry } from '../platform/telemetry/index.ts'
import type { Route } from './exchange.ts'
import { recent } from './recent.ts'

/** `GET /metrics`: the Prometheus text of this process and its managers. */
export const metricsRoute = ({
  telemetry,
  launcher,
}: {
  telemetry: Telemetry
  launcher: Pick<Launcher, 'metrics'>
}): Route => ({
  method: 'GET',
  path: '/metrics',
  async handle({ response }) {
    const [serve, managers] = await Promise.all([telemetry.metricsText(), launcher.metrics()])
    const text = Buffer.from(joinMetrics({ serve, ...managers }))
    response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE, 'content-length': text.length })
    response.end(text)
  },
})

interface Lag {
  model: string
  queued: number
  archiveLag: number
}

/** An instrument keeps no more than 2,000 models apart; those with the longest lines are told first. */
const MAX_MODELS = 1_000
/** One collection looks at both gauges: this is less than the time between two, and more than one takes. */
const LOOK_MS = 500

/** Has the lines and archives of the models measured whenever metrics are collected; until the answer is called. */
export function measureModels(db: Queryable): () => void {
  const look = recent(LOOK_MS, () => readLags(db))
  const { queued } = metrics
  const measures = [
    { gauge: queued, of: (lag: Lag) => lag.queued },
    { gauge: metrics.archiveLag, of: (lag: Lag) => lag.archiveLag },
  ].map(({ gauge, of }) => {
    const observe: Parameters<typeof gauge.addCallback>[0] = async result => {
      for (const lag of await look()) result.observe(of(lag), { model: lag.model })
    }
    gauge.addCallback(observe)
    return () => gauge.removeCallback(observe)
  })
  return () => {
    for (const stop of measures) stop()
  }
}

function readLags(db: Queryable): Promise<Lag[]> {
  return db.query<Lag>(
    `SELECT m.id AS model, coalesce(i.queued, 0)::integer AS queued, ${archiveLag('m')} AS "archiveLag"
       FROM goal_model m
            LEFT JOIN (SELECT model, count(*) AS queued FROM intent WHERE status IN ('QUEUED', 'RUNNING') GROUP BY model) i
                   ON i.model = m.id
      WHERE m.deleted_at IS NULL ORDER BY queued DESC, "archiveLag" DESC, m.id LIMIT $1`,
    [MAX_MODELS],
  )
}
