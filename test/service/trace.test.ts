import { expect, test } from 'vitest'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel } from '../support/sales-model.ts'

test('one trace goes from the mutation through queue, batch, steps, publish and archive, over the trigger, to the delivery', async () => {
  await using collector = await startOtlpReceiver()
  await using platform = await startPlatform(collector.env)
  const sales = await createModel(platform, { kind: 'sales' })
  const goals = await createModel(platform, { kind: 'goals', reads: [sales] })
  await appendSales(platform, sales, [{ orderId: 'A', date: '2024-03-01' }])
  await computeGoals(platform, goals, { salesModel: sales })
  const pages = platform.subscribe(
    `subscription ($m: ID!) { completions(model: $m) {
       edges { node { ... on Intent { function traceId read { version } } } } snapshot { ... on GoalsSnapshot { attainment { nodes { actualAmount } } } } } }`,
    { m: goals },
  )
  await pages.next()
  const { id } = await appendSales(platform, sales, [{ orderId: 'B', date: '2025-03-01', amount: '7' }])
  for await (const { completions } of pages)
    if (completions.snapshot.attainment.nodes[0].actualAmount === '7.0000') break
  const { intent } = await platform.graphql('query ($id: ID!) { intent(id: $id) { traceId } }', { id })

  const spans = await traceWith(collector, intent.traceId, ['deliver', 'archive', 'step actuals'])
  const names = spans.map(({ name }) => name)
  for (const name of ['queue', 'batch', 'apply', 'publish', 'archive', 'deliver']) expect(names).toContain(name)
  expect(new Set(spans.map(({ service }) => service))).toEqual(new Set(['teatree-serve', 'teatree-manage']))
  // Every span but the mutation's own has its parent in the trace.
  const ids = new Set(spans.map(({ spanId }) => spanId))
  const roots = spans.filter(({ parentSpanId }) => !parentSpanId || !ids.has(parentSpanId))
  expect(roots).toHaveLength(1)
  // Both models' batches are in it: the append's own, and that of the function that it started.
  expect(new Set(spans.filter(({ name }) => name === 'batch').map(span => span.attributes['teatree.model']))).toEqual(
    new Set([sales, goals]),
  )
})

test('a step of a function over frames says how many rows went in and came out', async () => {
  await using collector = await startOtlpReceiver()
  await using platform = await startPlatform(collector.env)
  const sales = await createModel(platform, { kind: 'sales' })
  const goals = await createModel(platform, { kind: 'goals', engine: 'ARROW', reads: [sales] })
  await appendSales(platform, sales, [{ orderId: 'A', date: '2024-03-01' }])
  await computeGoals(platform, goals, { salesModel: sales })
  const attributes = await collector.until(
    ({ spans }) => spans.find(({ name }) => name === 'step forecast')?.attributes,
  )
  // One month was sold in, and there is a cell for each of the twelve to come.
  const counts = [attributes['teatree.rows_in'], attributes['teatree.rows_out']]
  expect(counts.map(Number)).toEqual([1, 12])
})

test('from submitted to visible is measured, by kind and function, and shown at /metrics without OpenTelemetry asking', async () => {
  await using platform: TestPlatform = await startPlatform()
  const sales = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, sales, [{ orderId: 'A' }])
  // Measured behind the answer's back: asked for until it is there.
  let count: RegExpExecArray | null = null
  while (!count) {
    const text = await (await fetch(`${platform.url}/metrics`)).text()
    count = /teatree_intent_submitted_to_visible_seconds_count\{([^}]*)\} (\d+)/.exec(text)
  }
  expect(count[1]).toContain('function="appendSales"')
  expect(count[1]).toContain('process="manager-')
  expect(count[2]).toBe('1')
})

function traceWith(collector: OtlpReceiver, traceId: string, names: readonly string[]): Promise<ReceivedSpan[]> {
  return collector.until(({ spans }) => {
    const trace = spans.filter(span => span.traceId === traceId)
    const ended = names.every(name => trace.some(span => span.name === name))
    // A parent ends, and so arrives, after its children.
    const complete = trace.every(
      ({ parentSpanId }) => !parentSpanId || trace.some(({ spanId }) => spanId === parentSpanId),
    )
    return ended && complete && trace
  })
}
