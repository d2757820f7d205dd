import { diag } from '@opentelemetry/api'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { emptyResource } from '@opentelemetry/resources'
import type { MetricData, ScopeMetrics } from '@opentelemetry/sdk-metrics'

/** The media type of what `/metrics` answers. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** How long an observable instrument may take to look; past it, the text is without that one. Milliseconds. */
const OBSERVE_TIMEOUT = 5_000

/** A reader that is asked instead of pushing, and the Prometheus text of what it reads. It listens nowhere. */
export function openMetricsText(): { reader: PrometheusExporter; text(): Promise<string> } {
  const reader = new PrometheusExporter({ preventServerStart: true })
  const serializer = new PrometheusSerializer('', false, undefined, true, true)
  return {
    reader,
    async text() {
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

/**
 * One text out of those of several processes, by the processes' names: each sample gets the label `process`, and what
 * belongs to one metric comes together under one HELP and one TYPE, as the format demands.
 */
export function joinMetrics(texts: Readonly<Record<string, string>>): string {
  const families = new Map<string, { about: Map<string, string>; samples: string[] }>()
  for (const [process, text] of Object.entries(texts)) {
    let family: { about: Map<string, string>; samples: string[] } | undefined
    for (const line of text.split('\n')) {
      const [, word, name] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? []
      if (word && name) {
        family = families.get(name) ?? { about: new Map(), samples: [] }
        families.set(name, family)
        if (!family.about.has(word)) family.about.set(word, line)
      } else if (line && !line.startsWith('#')) {
        family?.samples.push(labelled(line, process))
      }
    }
  }
  const lines = [...families.values()].flatMap(({ about, samples }) => [...about.values(), ...samples])
  return lines.map(line => `${line}\n`).join('')
}

/** `name{a="b"} 1` and `name 1` with one label more; label values hold no bare line break, quote or backslash. */
function labelled(sample: string, process: string): string {
  const end = sample.search(/[{ ]/)
  const rest = sample[end] === '{' ? `,${sample.slice(end + 1)}` : `}${sample.slice(end)}`
  return `${sample.slice(0, end)}{process=${JSON.stringify(process)}${rest}`
}
