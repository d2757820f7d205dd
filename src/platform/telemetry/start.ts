import { setTimeout as after } from 'node:timers/promises'
import { context, DiagLogLevel, diag, metrics, propagation, trace } from '@opentelemetry/api'
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import { type IMetricReader, MeterProvider } from '@opentelemetry/sdk-metrics'
import type { Log } from '../log.ts'
import { recordWith } from './metrics.ts'
import { openMetricsText } from './metrics-reader.ts'
import { traceWith } from './span.ts'
import { exportersWanted, metricReadersWanted } from './wanted.ts'

export interface Telemetry {
  /** The Prometheus text of all that this process measures. */
  metricsText(): Promise<string>
  /**
   * Sends what is left and ends, within 5 s even where the collector is away; never fails. An export that then still
   * hangs keeps Node's event loop busy for some seconds more, so whoever stops should end the process.
   */
  stop(): Promise<void>
}

/** Milliseconds. */
const STOP_TIMEOUT = 5_000

/**
 * Starts metrics, which `metricsText` can always tell, and whatever the standard OTEL_* variables ask for besides: only
 * then is the OpenTelemetry SDK loaded and anything sent. Once per process; after `stop` it can be started again.
 * `env` has to be the process's own: the SDK reads most variables from there by itself.
 */
export async function startTelemetry(options: {
  service: string
  version: string
  env: NodeJS.ProcessEnv
  /** Gets what goes wrong with exporting, which fails nothing else. */
  log?: Log
}): Promise<Telemetry> {
  const { service, version, env, log } = options
  const { reader, text } = openMetricsText()
  const report = () => log && reportTo(log, env)
  report()
  const name = { 'service.name': service, 'service.version': version }
  const setup = {
    resource: defaultResource().merge(resourceFromAttributes(name)),
    metricReaders: [reader, ...(await metricReadersWanted(env))],
    traced: exportersWanted('TRACES', env).length > 0,
  }
  const stopProvider =
    setup.traced || setup.metricReaders.length > 1 ? await startSdk(setup, report) : startMetrics(setup)
  recordWith(metrics.getMeter('teatree', version))
  if (setup.traced) traceWith(trace.getTracer('teatree', version))
  let stopping: Promise<void> | undefined
  return {
    metricsText: text,
    stop() {
      stopping ??= stop(stopProvider, log)
      return stopping
    },
  }
}

interface Setup {
  resource: Resource
  metricReaders: IMetricReader[]
  traced: boolean
}

/** OpenTelemetry's own reading of the variables, for all but the metric readers. It logs nothing: the log is `log.ts`. */
async function startSdk({ resource, metricReaders, traced }: Setup, report: () => void): Promise<() => Promise<void>> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node')
  diag.disable() // with OTEL_LOG_LEVEL the SDK's constructor puts a logger of its own in the place of ours, and says so
  const untraced = traced ? {} : { spanProcessors: [] }
  const sdk = new NodeSDK({ resource, metricReaders, logRecordProcessors: [], ...untraced })
  report()
  sdk.start()
  return () => sdk.shutdown()
}

function startMetrics({ resource, metricReaders }: Setup): () => Promise<void> {
  const provider = new MeterProvider({ resource, readers: metricReaders })
  metrics.setGlobalMeterProvider(provider)
  return () => provider.shutdown()
}

async function stop(shutdown: () => Promise<void>, log: Log | undefined): Promise<void> {
  recordWith()
  traceWith()
  const timer = new AbortController()
  const cut = (err: unknown) => log?.warn({ err }, 'telemetry was not sent to its end')
  const late = after(STOP_TIMEOUT, undefined, { signal: timer.signal }).then(
    () => cut(new Error(`nothing heard in ${STOP_TIMEOUT} ms`)),
    () => undefined,
  )
  // `cut` also takes what fails after the time is up, which would otherwise be an unhandled rejection
  await Promise.race([shutdown().catch(cut), late])
  timer.abort()
  for (const api of [trace, metrics, context, propagation, diag]) api.disable()
}

/**
 * What OpenTelemetry has to say goes to the log: warnings, or whatever OTEL_LOG_LEVEL asks for, which is then written
 * at the log's usual level. Lost telemetry is never more than a warning.
 */
function reportTo(log: Log, env: NodeJS.ProcessEnv): void {
  const level = env.OTEL_LOG_LEVEL?.trim().toUpperCase() ?? ''
  const logLevel = level in DiagLogLevel ? DiagLogLevel[level as keyof typeof DiagLogLevel] : DiagLogLevel.WARN
  const line =
    (write: 'warn' | 'info') =>
    (message: string, ...details: unknown[]) =>
      log[write]({ details: [message, ...details].map(String) }, 'OpenTelemetry')
  const [warn, info] = [line('warn'), line('info')]
  diag.setLogger({ error: warn, warn, info, debug: info, verbose: info }, { logLevel, suppressOverrideMessage: true })
}
