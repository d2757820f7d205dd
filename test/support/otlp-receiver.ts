import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'

/** A span as a collector gets it. Ids are hexadecimal, times nanoseconds since 1970. */
export interface ReceivedSpan {
  service: string
  name: string
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  kind: number
  attributes: Record<string, unknown>
  events: { name: string; attributes: Record<string, unknown> }[]
  links: { traceId: string; spanId: string }[]
  status: { code?: number; message?: string }
  startTime: bigint
  endTime: bigint
}

/** One data point of a metric; `value` is that of a sum or gauge, or the count of a histogram. */
export interface ReceivedPoint {
  service: string
  name: string
  unit: string
  attributes: Record<string, unknown>
  value: number
  /** 1 delta, 2 cumulative; a gauge has none. */
  temporality: number | undefined
}

export interface OtlpReceiver extends AsyncDisposable {
  /** What a process needs in its environment to send its telemetry here, soon. */
  readonly env: Readonly<Record<string, string>>
  readonly spans: readonly ReceivedSpan[]
  readonly points: readonly ReceivedPoint[]
  /** Settles once `found` finds something in what has come, each time something comes. */
  until<T>(found: (received: OtlpReceiver) => T | undefined | false): Promise<T>
}

/** A collector for tests: OTLP over HTTP as JSON, on a free port of this machine, kept in memory. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const arrivals = new EventTarget()
  const spans: ReceivedSpan[] = []
  const points: ReceivedPoint[] = []
  const server = createServer(async (request, response) => {
    const isJson = request.headers['content-type'] === 'application/json'
    const body = isJson ? ((await json(decoded(request))) as OtlpTraces & OtlpMetrics) : undefined
    if (!body) response.statusCode = 415
    else if (request.url === '/v1/traces') spans.push(...spansOf(body))
    else if (request.url === '/v1/metrics') points.push(...pointsOf(body))
    else response.statusCode = 404
    response.setHeader('content-type', 'application/json').end('{}')
    arrivals.dispatchEvent(new Event('arrival'))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver: OtlpReceiver = {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    },
    spans,
    points,
    async until(found) {
      for (;;) {
        const arrival = once(arrivals, 'arrival')
        const result = found(receiver)
        if (result !== undefined && result !== false) return result
        await arrival
      }
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return receiver
}

function decoded(request: IncomingMessage): NodeJS.ReadableStream {
  return request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request
}

/** OTLP as JSON, as far as it is read here: 64-bit integers are strings. */
interface OtlpValue {
  stringValue?: string
  boolValue?: boolean
  intValue?: string | number
  doubleValue?: number
  arrayValue?: { values?: OtlpValue[] }
}
type OtlpAttributes = { key: string; value: OtlpValue }[]
interface OtlpResource {
  attributes?: OtlpAttributes
}
interface OtlpSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes?: OtlpAttributes
  events?: { name: string; attributes?: OtlpAttributes }[]
  links?: { traceId: string; spanId: string }[]
  status?: { code?: number; message?: string }
}
interface OtlpTraces {
  resourceSpans?: { resource?: OtlpResource; scopeSpans?: { spans?: OtlpSpan[] }[] }[]
}
interface OtlpPoints {
  aggregationTemporality?: number
  dataPoints?: { attributes?: OtlpAttributes; count?: string | number; asInt?: string | number; asDouble?: number }[]
}
interface OtlpMetric {
  name: string
  unit?: string
  sum?: OtlpPoints
  gauge?: OtlpPoints
  histogram?: OtlpPoints
}
interface OtlpMetrics {
  resourceMetrics?: { resource?: OtlpResource; scopeMetrics?: { metrics?: OtlpMetric[] }[] }[]
}

const plain = ({ stringValue, boolValue, intValue, doubleValue, arrayValue }: OtlpValue): unknown =>
  stringValue ??
  boolValue ??
  (intValue === undefined ? undefined : Number(intValue)) ??
  doubleValue ??
  arrayValue?.values?.map(plain)

const attributesOf = (attributes: OtlpAttributes = []): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]))

const serviceOf = (resource: OtlpResource | undefined): string =>
  String(attributesOf(resource?.attributes)['service.name'])

function spansOf({ resourceSpans = [] }: OtlpTraces): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) =>
    scopeSpans.flatMap(({ spans = [] }) =>
      spans.map(span => ({
        service: serviceOf(resource),
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId || undefined,
        kind: span.kind,
        attributes: attributesOf(span.attributes),
        events: (span.events ?? []).map(event => ({ name: event.name, attributes: attributesOf(event.attributes) })),
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        status: span.status ?? {},
        startTime: BigInt(span.startTimeUnixNano),
        endTime: BigInt(span.endTimeUnixNano),
      })),
    ),
  )
}

function pointsOf({ resourceMetrics = [] }: OtlpMetrics): ReceivedPoint[] {
  return resourceMetrics.flatMap(({ resource, scopeMetrics = [] }) =>
    scopeMetrics.flatMap(({ metrics = [] }) =>
      metrics.flatMap(({ name, unit = '', sum, gauge, histogram }) => {
        const { aggregationTemporality, dataPoints = [] } = sum ?? gauge ?? histogram ?? {}
        return dataPoints.map(point => ({
          service: serviceOf(resource),
          name,
          unit,
          attributes: attributesOf(point.attributes),
          value: Number(point.count ?? point.asInt ?? point.asDouble),
          temporality: aggregationTemporality,
        }))
      }),
    ),
  )
}
