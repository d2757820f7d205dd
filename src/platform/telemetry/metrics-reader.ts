import { diag } from '@opentelemetry/api'
import { emptyResource } from '@opentelemetry/resources'
import { type MetricData, MetricReader, type ScopeMetrics } from '@opentelemetry/sdk-metrics'

/** How long an observable instrument may take to look; past it, the text is without that one. Milliseconds. */
const OBSERVE_TIMEOUT = 5_000

/** It is asked, and has nothing to push. */
class AskedReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/**
 * A reader that is asked instead of pushing, and the Prometheus text of what it reads. What makes the text is loaded when it is
 * first asked for: it brings Node's HTTP along, which managers have no other use for, and few of them are ever asked.
 */
export function openMetricsText(): { reader: MetricReader; text(): Promise<string> } {
  const reader = new AskedReader()
  return {
    reader,
    async text() {
      const { PrometheusSerializer } = await import('@opentelemetry/exporter-prometheus')
      const serializer = new PrometheusSerializer('', false, undefined, true, true)
      const { resourceMetrics, errors } = await reader.collect({ timeoutMillis: OBSERVE_TIMEOUT })
      for (const error of errors) diag.error('a metric could not be observed', error)
      return serializer.serialize({
        resource: emptyResource(), // not shown, and parts of the real one may still be on their way
        scopeMetrics: resourceMetrics.scopeMetrics.map(withPrometheusNames),
      })
    },
  }
}

const UNITS: Readonly<Record<string, string>> = { s: 'seconds', By: 'bytes' }

/** Prometheus has the unit at the end of the name, OpenTelemetry beside it, and the serializer leaves names as they are. */
function withPrometheusNames({ scope, metrics }: ScopeMetrics): ScopeMetrics {
  const named = (metric: MetricData): MetricData => {
    const { name, unit } = metric.descriptor
    const suffix = UNITS[unit]
    return { ...metric, descriptor: { ...metric.descriptor, name: suffix ? `${name}_${suffix}` : name, unit: '' } }
  }
  return { scope, metrics: metrics.map(named) }
}
