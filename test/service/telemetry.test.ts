import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { runNode } from '../support/node-process.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { program, run } from '../support/telemetry-program.ts'

describe('traces', () => {
  test('one trace goes on in another process that was given the traceparent', async () => {
    await using collector = await startOtlpReceiver()
    const first = program(
      'api',
      `await span('mutation', { kind: SpanKind.SERVER, attributes: { model: 'm1' } }, async () => {
        await turn()
        await span('enqueue', { kind: SpanKind.PRODUCER }, () => console.log(traceparent()))
      })`,
    )
    const [carried = ''] = (await run(first, collector.env)).stdout
    const second = program(
      'manager',
      `const apply = () => span('step', {}, async () => { await turn(); throw new RangeError('too much') })
      await span('apply', { parent: '${carried}', kind: SpanKind.CONSUMER }, apply).catch(() => {})`,
    )
    await run(second, collector.env)

    const named = (name: string) => collector.until(({ spans }) => spans.find(span => span.name === name))
    const [mutation, enqueue] = [await named('mutation'), await named('enqueue')]
    const [apply, step] = [await named('apply'), await named('step')]
    expect(mutation).toMatchObject({ service: 'api', kind: 2, parentSpanId: undefined, attributes: { model: 'm1' } })
    expect(enqueue).toMatchObject({ service: 'api', kind: 4, parentSpanId: mutation.spanId })
    expect(carried).toBe(`00-${mutation.traceId}-${enqueue.spanId}-01`)
    expect(apply).toMatchObject({ service: 'manager', kind: 5, parentSpanId: enqueue.spanId })
    expect(step).toMatchObject({ parentSpanId: apply.spanId, status: { code: 2, message: 'too much' } })
    expect(step.events).toMatchObject([{ name: 'exception', attributes: { 'exception.type': 'RangeError' } }])
    expect(new Set(collector.spans.map(span => span.traceId))).toEqual(new Set([mutation.traceId]))
  })

  test('what runs at the same time keeps to its own span, and a parent of null begins a trace', async () => {
    await using collector = await startOtlpReceiver()
    const body = `
      const work = name => span(name, {}, async () => {
        for (let i = 0; i < 3; i++) { await turn(); await span(name + '.part', {}, turn) }
        await span(name + '.apart', { parent: null }, turn)
        await span(name + '.lost', { parent: 'no traceparent' }, turn)
      })
      await Promise.all([work('a'), work('b')])`
    await run(program('api', body), collector.env)
    await collector.until(({ spans }) => spans.length === 12)
    for (const name of ['a', 'b']) {
      const spans = (suffix: string) => collector.spans.filter(span => span.name === name + suffix)
      const [whole] = spans('')
      expect(spans('.part').map(span => span.parentSpanId)).toEqual(Array(3).fill(whole?.spanId))
      expect([...spans('.apart'), ...spans('.lost')].map(span => span.parentSpanId)).toEqual([undefined, undefined])
    }
    expect(new Set(collector.spans.map(span => span.traceId)).size).toBe(6)
  })

  test('what was not sampled at its source is carried on and not sampled here', async () => {
    await using collector = await startOtlpReceiver()
    const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'
    const body = `
      await span('unsampled', { parent: '${parent}' }, () => console.log(traceparent()))
      await span('sampled', { startTime: new Date(1e12), links: ['${parent}', 'none'] }, turn)`
    const { stdout } = await run(program('api', body), collector.env)
    const sampled = await collector.until(({ spans }) => spans.find(span => span.name === 'sampled'))
    expect(stdout[0]).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[\da-f]{16}-00$/)
    expect(collector.spans).toHaveLength(1)
    expect(sampled.links).toEqual([{ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }])
    expect(sampled.startTime).toBe(10n ** 18n)
  })
})

describe('what is loaded and sent', () => {
  /** Tells which OpenTelemetry packages were loaded and how many connections were begun. */
  const watched = `
    import { subscribe } from 'node:diagnostics_channel'
    import { registerHooks } from 'node:module'
    const seen = { packages: [], connections: 0 }
    subscribe('net.client.socket', () => seen.connections++)
    registerHooks({ load(url, context, next) {
      const name = /node_modules\\/@opentelemetry\\/([^/]+)/.exec(url)?.[1]
      if (name && !seen.packages.includes(name)) seen.packages.push(name)
      return next(url, context)
    } })
    const { metrics, span, startTelemetry, traceparent } = await import('./src/platform/telemetry/index.ts')
    const telemetry = await startTelemetry({ service: 'api', version: '1.2.3', env: process.env })
    metrics.batchIntents.record(1, { kind: 'sales' })
    seen.answer = await span('work', { parent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }, () => 42)
    seen.traceparent = await span('work', {}, () => traceparent() ?? null)
    seen.measured = (await telemetry.metricsText()).includes('teatree_batch_size_count{kind="sales"} 1')
    await telemetry.stop()
    console.log(JSON.stringify(seen))`
  const watch = async (env: Record<string, string>) => JSON.parse((await run(watched, env)).stdout[0] ?? '')
  const SDK = ['sdk-node', 'sdk-trace', 'otlp-exporter-base', 'exporter-trace-otlp-http', 'context-async-hooks']

  test('with an endpoint, the SDK', async () => {
    await using collector = await startOtlpReceiver()
    const seen = await watch(collector.env)
    expect(seen.packages).toEqual(expect.arrayContaining(SDK))
    expect(seen.connections).toBeGreaterThan(0)
    expect(seen).toMatchObject({ answer: 42, traceparent: expect.any(String), measured: true })
  })

  test.each([
    ['without OTEL_*', {}],
    ['with a mere name', { OTEL_SERVICE_NAME: 'shop', OTEL_RESOURCE_ATTRIBUTES: 'a=b' }],
    ['with OTEL_SDK_DISABLED', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }],
    [
      'with exporters of none',
      {
        OTEL_TRACES_EXPORTER: 'none',
        OTEL_METRICS_EXPORTER: 'none',
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      },
    ],
  ])('%s, no SDK and no connection, and /metrics all the same', async (_, env) => {
    const seen = await watch(env)
    expect(seen.packages).toEqual(expect.arrayContaining(['api', 'sdk-metrics']))
    for (const name of SDK) expect(seen.packages).not.toContain(name)
    expect(seen).toMatchObject({ connections: 0, answer: 42, traceparent: null, measured: true })
  })
})

describe('a collector that is away', () => {
  const work = `for (let i = 0; i < 600; i++) await span('work', {}, () => metrics.batchIntents.record(1, { kind: 'sales' }))`

  test('hinders nothing when it refuses, and the log says so', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    gone.close()
    await once(gone, 'close')
    const { stderr } = await run(program('api', work), {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    })
    expect(stderr).toContain('telemetry was not sent to its end')
  })

  test('does not hold up the stop when it never answers', async () => {
    const asked: Socket[] = []
    const silent = createServer(socket => asked.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const stopped = `${work}
      await telemetry.stop()
      console.log('stopped')
      process.stdin.resume().on('end', () => process.exit())`
    const { child, lines, ended } = runNode(program('api', stopped), {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    })
    expect(await lines.next()).toMatchObject({ value: 'stopped' })
    // the process still has its question open, which is to say that it did not wait for the answer
    expect(asked.filter(socket => !socket.closed).length).toBeGreaterThan(0)
    child.stdin?.end()
    expect(await ended).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing heard in 5000 ms') })
    silent.close()
  })
})
