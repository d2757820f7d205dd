import { createNoopMeter, type Meter } from '@opentelemetry/api'

/** Seconds, 1 ms to 10 min. OpenTelemetry's own bounds suit milliseconds: all that takes less than 5 s would be one bucket. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600]
const INTENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]

/**
 * All that is measured. Units are UCUM: `s`, or a word in braces for what is counted; on /metrics a name ends with its
 * unit (`…_seconds`) or, of a counter, with `_total`. Of each instrument no more than 2,000 combinations of attributes
 * are kept apart: never give it an id that grows, such as an intent's.
 */
const declare = (meter: Meter) => ({
  submittedToVisible: meter.createHistogram<{ kind: string; function: string }>('teatree.intent.submitted_to_visible', {
    unit: 's',
    description: 'From the acceptance of an intent to the moment at which the version that holds it can be read',
    advice: { explicitBucketBoundaries: SECONDS },
  }),
  publishDuration: meter.createHistogram<{ kind: string; engine: string }>('teatree.publish.duration', {
    unit: 's',
    description: 'Making a version: snapshot files and the transaction that makes it visible',
    advice: { explicitBucketBoundaries: SECONDS },
  }),
  batchIntents: meter.createHistogram<{ kind: string }>('teatree.batch.size', {
    unit: '{intent}',
    description: 'Intents applied in one batch',
    advice: { explicitBucketBoundaries: INTENTS },
  }),
  intentsEnded: meter.createCounter<{ kind: string; function: string; status: string }>('teatree.intents.ended', {
    unit: '{intent}',
    description: 'Intents that have ended, by what became of them',
  }),
  queued: meter.createObservableGauge<{ model: string }>('teatree.intents.queued', {
    unit: '{intent}',
    description: 'Intents that wait in the line of a model',
  }),
  archiveLag: meter.createObservableGauge<{ model: string }>('teatree.archive.lag', {
    unit: '{version}',
    description: 'Published versions that are newer than the newest archived one',
  }),
  queryDuration: meter.createHistogram<{ how: string; outcome: string }>('teatree.query.duration', {
    unit: 's',
    description: 'Queries that ran in a process of their own, SQL and query runs, by what came of them',
    advice: { explicitBucketBoundaries: SECONDS },
  }),
  subscriptions: meter.createUpDownCounter('teatree.subscriptions', {
    unit: '{subscription}',
    description: 'Subscriptions that are open, over WebSockets and as server-sent events',
  }),
  sentAway: meter.createCounter<{ reason: 'slow' | 'memory' }>('teatree.subscribers.sent_away', {
    unit: '{connection}',
    description: 'WebSockets that were closed since their clients did not take what was sent',
  }),
  httpRequests: meter.createHistogram<{
    'http.request.method': string
    'http.route': string
    'http.response.status_code': number
  }>('http.server.request.duration', {
    unit: 's',
    description: 'HTTP requests answered',
    advice: { explicitBucketBoundaries: SECONDS },
  }),
})

export type Metrics = ReturnType<typeof declare>

/**
 * The instruments, to be used as `metrics.queued…` each time and never kept one by one: until `startTelemetry`, which
 * puts the real ones here, they are of no effect. OpenTelemetry has no meter that takes up its provider later.
 */
export const metrics: Metrics = declare(createNoopMeter())

/** Has the instruments record with `meter`, or nowhere. */
export function recordWith(meter: Meter = createNoopMeter()): void {
  Object.assign(metrics, declare(meter))
}
