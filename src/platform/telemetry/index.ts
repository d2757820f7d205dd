/** Traces and metrics. Nothing outside this folder, and the trace id in `log.ts`, speaks to OpenTelemetry. */
export { type Attributes, type Span, SpanKind } from '@opentelemetry/api'
export { type Metrics, metrics } from './metrics.ts'
export { joinMetrics, METRICS_CONTENT_TYPE } from './metrics-text.ts'
export { newTraceparent, readTraceparent, type SpanSettings, span, traceIdOf, traceparent } from './span.ts'
export { startTelemetry, type Telemetry } from './start.ts'
