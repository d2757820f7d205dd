import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel, sale } from '../support/sales-model.ts'

let stack: AsyncDisposableStack
let collector: OtlpReceiver
let platform: TestPlatform
beforeAll(async () => {
  stack = new AsyncDisposableStack()
  collector = stack.use(await startOtlpReceiver())
  platform = stack.use(await startPlatform({ ...collector.env, OTEL_METRICS_EXPORTER: 'none' }))
})
afterAll(() => stack.disposeAsync())

test('one trace goes from the mutation through queue, batch, steps, publish and archive, over the trigger, to the delivery', async () => {
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
  const sales = await createModel(platform, { kind: 'sales' })
  const goals = await createModel(platform, { kind: 'goals', engine: 'ARROW', reads: [sales] })
  await appendSales(platform, sales, [{ orderId: 'A', date: '2024-03-01' }])
  const { id } = await computeGoals(platform, goals, { salesModel: sales })
  const { intent } = await platform.graphql('query ($id: ID!) { intent(id: $id) { traceId } }', { id })
  const { attributes } = await collector.until(({ spans }) =>
    spans.find(({ name, traceId }) => name === 'step forecast' && traceId === intent.traceId),
  )
  // One month was sold in, of one combination, and there is a cell for each of the twelve to come.
  const counts = [attributes['teatree.rows_in'], attributes['teatree.rows_out']]
  expect(counts.map(Number)).toEqual([2, 12])
})

test('one trace goes from the request to the delivery of what became of it', async () => {
  const model = await createModel(platform, { kind: 'sales' })
  const completions = platform.subscribe(
    'subscription Told($m: ID!) { completions(model: $m) { edges { node { ... on Intent { traceId } } } } }',
    { m: model },
  )
  await completions.next()
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const parent = 'b7ad6b7169203331'
  const query = `mutation Append($m: ID!, $rows: [SaleInput!]!) { appendSales(model: $m, rows: $rows) { traceId } }`
  const response = await fetch(`${platform.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-${parent}-01` },
    body: JSON.stringify({ query, variables: { m: model, rows: [sale({ orderId: 'A' })] } }),
  })
  expect(await response.json()).toEqual({ data: { appendSales: { traceId } } })
  const { value } = await completions.next()
  expect(value.completions.edges).toEqual([{ node: { traceId } }])
  await completions.return?.(undefined)

  const named = (name: string) =>
    collector.until(({ spans }) => spans.find(span => span.name === name && span.traceId === traceId))
  const request = await named('POST /graphql')
  const mutation = await named('mutation Append')
  const batch = await named('batch')
  const deliver = await named('deliver')
  expect(request).toMatchObject({ parentSpanId: parent, kind: 2, attributes: { 'http.route': '/graphql' } })
  expect(mutation).toMatchObject({
    parentSpanId: request.spanId,
    attributes: { 'graphql.operation.type': 'mutation', 'graphql.operation.name': 'Append' },
  })
  expect(batch).toMatchObject({ parentSpanId: mutation.spanId, service: 'teatree-manage' })
  expect(deliver).toMatchObject({ parentSpanId: mutation.spanId, service: 'teatree-serve' })
  // The subscription is a trace of its own.
  const subscribed = await collector.until(({ spans }) => spans.find(span => span.name === 'subscription Told'))
  expect(subscribed).toMatchObject({ kind: 2, parentSpanId: undefined })
  expect(subscribed.traceId).not.toBe(traceId)
})

test('an operation on a WebSocket goes on with the trace that its message names', async () => {
  const socket = new WebSocket(`${platform.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'connection_init' }))
  await once(socket, 'message')
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const payload = { query: 'query Kinds { kinds { name } }', extensions: { traceparent } }
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }))
  const kinds = await collector.until(({ spans }) => spans.find(span => span.name === 'query Kinds'))
  expect(kinds).toMatchObject({ traceId: traceparent.slice(3, 35), parentSpanId: 'b7ad6b7169203331', kind: 2 })
  socket.close()
  await once(socket, 'close')
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
