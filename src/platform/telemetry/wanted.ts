import { diag } from '@opentelemetry/api'
import {
  ConsoleMetricExporter,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from '@opentelemetry/sdk-metrics'

/**
 * The exporters that the OTEL_* variables name for a signal. Left alone, OpenTelemetry would send everything to a collector
 * on this machine; here nothing is sent unless an exporter or an endpoint is named. `none` and OTEL_SDK_DISABLED count.
 */
export function exportersWanted(signal: 'TRACES' | 'METRICS', env: NodeJS.ProcessEnv): readonly string[] {
  const named = (env[`OTEL_${signal}_EXPORTER`] ?? '').split(',').map(name => name.trim())
  const exporters = [...new Set(named.filter(name => name !== ''))]
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true' || exporters.includes('none')) return []
  if (exporters.length > 0) return exporters
  return env.OTEL_EXPORTER_OTLP_ENDPOINT?.trim() || env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`]?.trim() ? ['otlp'] : []
}

/** They read endpoint, headers, compression, certificates, timeout and temporality from the variables by themselves. */
const OTLP = {
  grpc: () => import('@opentelemetry/exporter-metrics-otlp-grpc'),
  'http/json': () => import('@opentelemetry/exporter-metrics-otlp-http'),
  'http/protobuf': () => import('@opentelemetry/exporter-metrics-otlp-proto'),
} as const

/**
 * The readers that push metrics, as OTEL_METRICS_EXPORTER and its kin ask. The SDK would read the same variables, but
 * only where it is given no reader at all, and there is always that of `/metrics`.
 */
export async function metricReadersWanted(env: NodeJS.ProcessEnv): Promise<PeriodicExportingMetricReader[]> {
  const readers: PeriodicExportingMetricReader[] = []
  for (const name of exportersWanted('METRICS', env)) {
    if (name === 'otlp') readers.push(every(env, await otlpExporter(env)))
    else if (name === 'console') readers.push(every(env, new ConsoleMetricExporter()))
    else if (name !== 'prometheus') diag.warn(`OTEL_METRICS_EXPORTER: ${name} is not otlp, console, prometheus or none`)
  }
  return readers
}

async function otlpExporter(env: NodeJS.ProcessEnv): Promise<PushMetricExporter> {
  const protocol =
    (env.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL)?.trim() || 'http/protobuf'
  const load = protocol in OTLP ? OTLP[protocol as keyof typeof OTLP] : undefined
  if (!load) diag.warn(`OTLP protocol ${protocol} is not ${Object.keys(OTLP).join(', ')}: metrics go by http/protobuf`)
  const { OTLPMetricExporter } = await (load ?? OTLP['http/protobuf'])()
  return new OTLPMetricExporter()
}

function every(env: NodeJS.ProcessEnv, exporter: PushMetricExporter): PeriodicExportingMetricReader {
  const exportIntervalMillis = milliseconds(env.OTEL_METRIC_EXPORT_INTERVAL) ?? 60_000
  const timeout = milliseconds(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? 30_000
  return new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(timeout, exportIntervalMillis),
  })
}

function milliseconds(value: string | undefined): number | undefined {
  const number = Number(value?.trim() || Number.NaN)
  return number > 0 ? number : undefined
}
