import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel } from '../support/sales-model.ts'

let platform: TestPlatform
beforeAll(async () => {
  // Models that read each other have managers of their own.
  platform = await startPlatform({ TEATREE_MANAGERS: '2' })
})
afterAll(() => platform[Symbol.asyncDispose]())

test('from submitted to visible is measured, by kind and function, and shown at /metrics without OpenTelemetry asking', async () => {
  const sales = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, sales, [{ orderId: 'A' }])
  const measured = async () => {
    const text = await (await fetch(`${platform.url}/metrics`)).text()
    return text.split('\n').filter(line => line.startsWith('teatree_intent_submitted_to_visible_seconds_count'))
  }
  // Measured behind the answer's back.
  const ofAppends = expect.stringMatching(
    /function="appendSales".*process="manager-|process="manager-.*function="appendSales"/,
  )
  await expect.poll(measured).toContainEqual(ofAppends)
})

test('a sale appended to the sales model reaches a subscriber of the goals model, in its attainment, without anyone asking', async () => {
  const sales = await createModel(platform, { kind: 'sales' })
  const goals = await createModel(platform, { kind: 'goals', reads: [sales] })
  await appendSales(platform, sales, [{ orderId: 'A', date: '2024-03-01', amount: '100' }])
  const computed = await computeGoals(platform, goals, { salesModel: sales, interval: 'YEAR', growth: '0.1' })
  expect(computed).toMatchObject({ status: 'PUBLISHED', outcome: { cells: '1', total: '110.00' } })

  const pages = platform.subscribe(
    `subscription ($model: ID!) { completions(model: $model) {
       edges { node { ... on Intent { function } } }
       snapshot { version ... on GoalsSnapshot { attainment { nodes { goalAmount actualAmount ratio } salesVersion } } } } }`,
    { model: goals },
  )
  await pages.next()
  await appendSales(platform, sales, [{ orderId: 'B', date: '2025-02-01', amount: '55' }])
  for await (const { completions } of pages) {
    const [attainment] = completions.snapshot.attainment.nodes
    if (attainment.actualAmount === '0.0000') continue
    expect(attainment).toEqual({ goalAmount: '110.00', actualAmount: '55.0000', ratio: 0.5 })
    expect(completions.edges.map((edge: { node: { function: string } }) => edge.node.function)).toContain(
      'refreshActuals',
    )
    break
  }
})

test('all fields below one snapshot read one version while others are published', async () => {
  const sales = await createModel(platform, { kind: 'sales' })
  let stop = false
  const writer = (async () => {
    for (let order = 0; !stop; order++) await appendSales(platform, sales, [{ orderId: `O${order}`, amount: '1' }])
  })()
  for (let read = 0; read < 60; read++) {
    const { salesModel } = await platform.graphql(
      `query ($id: ID!) { salesModel(id: $id) { snapshot { lastSeq version
         sales(first: 1000) { totalCount nodes { orderId } } salesAggregate { nodes { count sum { amount } } } tables { name rows } } } }`,
      { id: sales },
    )
    const { sales: page, salesAggregate, tables, lastSeq } = salesModel.snapshot
    const [total] = salesAggregate.nodes
    expect(total.count).toBe(page.totalCount)
    expect(tables.find((table: { name: string }) => table.name === 'sales').rows).toBe(page.totalCount)
    expect(lastSeq).toBe(page.totalCount)
    expect(page.nodes).toHaveLength(Math.min(1000, Number(page.totalCount)))
  }
  stop = true
  await writer
})

test('a reader sees its own write, and subscribers every completion in order', async () => {
  const sales = await createModel(platform, { kind: 'sales' })
  const { completions: start } = (
    await platform.subscribe('subscription ($m: ID!) { completions(model: $m) { cursor } }', { m: sales }).next()
  ).value
  const intents = await Promise.all(
    Array.from({ length: 40 }, (_, order) => appendSales(platform, sales, [{ orderId: `O${order}` }])),
  )
  const seen: string[] = []
  for await (const { completions } of platform.subscribe(
    `subscription ($m: ID!, $after: String) { completions(model: $m, after: $after, pageSize: 7) {
       edges { node { ... on Intent { seq } } } } }`,
    { m: sales, after: start.cursor },
  )) {
    seen.push(...completions.edges.map((edge: { node: { seq: string } }) => edge.node.seq))
    if (seen.length >= 40) break
  }
  expect(seen).toEqual(Array.from({ length: 40 }, (_, index) => String(index + 1)))
  const last = intents.at(-1)
  const { salesModel } = await platform.graphql(
    'query ($id: ID!, $intent: ID!) { salesModel(id: $id) { snapshot(at: { intent: $intent }) { sale(orderId: "O39", line: 1) { orderId } } } }',
    { id: sales, intent: last.id },
  )
  expect(salesModel.snapshot.sale).toEqual({ orderId: 'O39' })
})
