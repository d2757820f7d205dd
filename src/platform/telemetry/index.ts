import type { startTelemetry as start } from './start.ts'

/** Traces and metrics. Nothing outside this folder, and the trace id in `log.ts`, speaks to OpenTelemetry. */
export { type Attributes, type Span, SpanKind } from '@opentelemetry/api'
export { type Metrics, metrics } from './metrics.ts'
export { joinMetrics, METRICS_CONTENT_TYPE } from './metrics-text.ts'
export { newTraceparent, readTraceparent, type SpanSettings, span, traceIdOf, traceparent } from './span.ts'
export type { Telemetry } from './start.ts'

/** See start.ts. Its SDK is loaded when it is called: who only measures does without, as what runs in a process of its own. */
export const startTelemetry: typeof start = async options => (await import('./start.ts')).startTelemetry(options)
