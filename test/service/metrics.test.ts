import { describe, expect, test } from 'vitest'
import { joinMetrics, metrics, startTelemetry } from '../../src/platform/telemetry/index.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { program, run } from '../support/telemetry-program.ts'

describe('metrics', () => {
  test('are told as Prometheus text, of the time between start and stop', async () => {
    const batch = { kind: 'sales', function: 'append' }
    metrics.submittedToVisible.record(1, batch)
    const telemetry = await startTelemetry({ service: 'api', version: '1.2.3', env: {} })
    metrics.submittedToVisible.record(0.02, batch)
    metrics.submittedToVisible.record(0.3, batch)
    metrics.intentsEnded.add(2, { ...batch, status: 'PUBLISHED' })
    metrics.queued.addCallback(async result => result.observe(7, { model: 'm1' }))
    metrics.archiveLag.addCallback(() => Promise.reject(new Error('no database')))
    const lines = (await telemetry.metricsText()).split('\n')
    await telemetry.stop()
    await telemetry.stop()
    expect(lines).toContain('# TYPE teatree_intent_submitted_to_visible_seconds histogram')
    const bucket = 'teatree_intent_submitted_to_visible_seconds_bucket{kind="sales",function="append"'
    expect(lines.filter(line => line.startsWith(bucket))).toEqual(
      expect.arrayContaining([`${bucket},le="0.01"} 0`, `${bucket},le="0.025"} 1`, `${bucket},le="+Inf"} 2`]),
    )
    expect(lines).toContain('teatree_intent_submitted_to_visible_seconds_sum{kind="sales",function="append"} 0.32')
    expect(lines).toContain('teatree_intents_ended_total{kind="sales",function="append",status="PUBLISHED"} 2')
    expect(lines).toContain('teatree_intents_queued{model="m1"} 7')
    expect(lines.join('\n')).not.toContain('archive')
  })

  test('start anew after a stop', async () => {
    const telemetry = await startTelemetry({ service: 'api', version: '1.2.3', env: {} })
    metrics.batchIntents.record(3, { kind: 'sales' })
    const text = await telemetry.metricsText()
    await telemetry.stop()
    expect(text).toContain('teatree_batch_size_sum{kind="sales"} 3')
    expect(text).not.toContain('submitted_to_visible')
  })

  test('go to a collector too, as the variables ask, and traces need not', async () => {
    await using collector = await startOtlpReceiver()
    const body = `
      await span('work', {}, turn)
      metrics.publishDuration.record(0.5, { kind: 'sales', engine: 'DUCKDB' })
      await turn()
      console.log((await telemetry.metricsText()).includes('teatree_publish_duration_seconds_count'))`
    const { stdout } = await run(program('manager', body), {
      ...collector.env,
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_SERVICE_NAME: 'shop',
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'delta',
    })
    const point = await collector.until(({ points }) => points.find(point => point.name === 'teatree.publish.duration'))
    expect(point).toMatchObject({ service: 'shop', unit: 's', value: 1, temporality: 1 })
    expect(point.attributes).toEqual({ kind: 'sales', engine: 'DUCKDB' })
    expect(stdout).toEqual(['true'])
    expect(collector.spans).toEqual([])
  })

  test('of several processes are one valid text', async () => {
    const measured = (seconds: number, model: string) => `
      metrics.publishDuration.record(${seconds}, { kind: 'sales', engine: 'DUCKDB' })
      metrics.queued.addCallback(result => result.observe(1, { model: '${model}' }))
      console.log(JSON.stringify(await telemetry.metricsText()))`
    const texts = await Promise.all(
      [measured(0.5, 'm "1"\\n{'), measured(2, 'm2')].map(body => run(program('manager', body))),
    )
    const [first, second] = texts.map(({ stdout }) => JSON.parse(stdout[0] ?? '') as string)
    const joined = joinMetrics({ api: 'up 1\n', 'manager-1': first ?? '', 'manager-2': second ?? '', idle: '# none' })
    const lines = joined.split('\n')
    const sum = (manager: number) => `{process="manager-${manager}",kind="sales",engine="DUCKDB"}`
    expect(lines).toContain(`teatree_publish_duration_seconds_sum${sum(1)} 0.5`)
    expect(lines).toContain(`teatree_publish_duration_seconds_sum${sum(2)} 2`)
    expect(lines).toContain(String.raw`teatree_intents_queued{process="manager-1",model="m \"1\"\n{"} 1`)
    expect(joinMetrics({ api: '# TYPE up gauge\nup 1\n' })).toBe('# TYPE up gauge\nup{process="api"} 1\n')
    expectPrometheusText(joined)
  })
})

/** One HELP and TYPE per metric, its samples right below, no sample twice. */
function expectPrometheusText(text: string) {
  const samples = new Set<string>()
  const families = new Set<string>()
  let family = ''
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.slice(0, -1).split('\n')) {
    const [, word, name] = /^# (HELP|TYPE) (\S+) \S/.exec(line) ?? []
    if (word === 'HELP') {
      expect(families).not.toContain(name)
      family = name ?? ''
      families.add(family)
    } else if (word === 'TYPE') expect(name).toBe(family)
    else {
      const sample = /^([a-z_]+)\{([a-z_]+="(?:[^"\\\n]|\\.)*"(?:,(?!\})|(?=\})))+\} [-+.\dA-Za-z]+$/.exec(line)
      expect(sample?.[1]?.replace(/_(bucket|sum|count)$/, ''), line).toBe(family)
      const series = line.slice(0, line.lastIndexOf(' '))
      expect(samples).not.toContain(series)
      samples.add(series)
    }
  }
}
