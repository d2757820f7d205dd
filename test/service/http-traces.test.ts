import { once } from 'node:events'
import { expect, test } from 'vitest'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { startPlatform } from '../support/platform.ts'
import { createModel, sale } from '../support/sales-model.ts'

test('one trace goes from the request to the delivery of what became of it', async () => {
  await using collector = await startOtlpReceiver()
  await using platform = await startPlatform(collector.env)
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
  await using collector = await startOtlpReceiver()
  await using platform = await startPlatform(collector.env)
  const { default: WebSocket } = await import('ws')
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
