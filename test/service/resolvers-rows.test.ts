import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answer, openApi, type TestApi } from '../support/api.ts'

let api: TestApi
let model: string
const reading = (sampleId: string, more: Record<string, unknown> = {}) => ({
  sampleId,
  assay: 'ph',
  revision: 1,
  takenOn: '2024-01-31',
  takenAt: '2024-01-31T09:00:00.5Z',
  amount: '7.25',
  counts: '9007199254740993',
  signal: 0.25,
  valid: true,
  ...more,
})
beforeAll(async () => {
  api = await openApi()
  model = await api.create({ kind: 'lab' })
  await api.graphql(
    `mutation ($model: ID!, $readings: [LabReadingInput!]!) {
       a: appendLabSamples(model: $model, rows: [
         { sampleId: "s1", collectedAt: "2024-01-01T00:00:00Z", origin: "well" }, { sampleId: "s2", collectedAt: "2024-01-02T00:00:00Z" }]) { id }
       b: appendLabProtocols(model: $model, rows: [{ assay: "ph", revision: 1, title: "Acidity", upperLimit: "7.5" }]) { id }
       c: appendLabInstruments(model: $model, rows: [{ instrumentId: "i1", name: "Meter", active: true }]) { id }
       d: appendLabReadings(model: $model, rows: $readings, waitMs: 30000) { status } }`,
    {
      model,
      readings: [
        reading('s1', { instrumentId: 'i1' }),
        reading('s1', { replicate: 2, amount: '8', takenOn: '2024-02-01' }),
        reading('s2', { assay: 'iron', amount: '0.000001', instrumentId: 'gone', valid: false }),
        reading('s3', { note: 'ä%', amount: '7.25', takenOn: '2024-02-29' }),
      ],
    },
  )
})
afterAll(() => api[Symbol.asyncDispose]())
beforeEach(() => {
  api.reads.length = 0
})
afterEach(() => expect(api.held).toBe(0))

/** A query for fields of the model's snapshot, which declares the variables that the fields use. */
function query(fields: string): string {
  const declared = ['after', 'before'].filter(name => fields.includes(`$${name}`)).map(name => `, $${name}: String`)
  return `query ($model: ID!${declared.join('')}) { labModel(id: $model) { snapshot { version ${fields} } } }`
}
async function snapshot(fields: string, variables: Record<string, unknown> = {}): Promise<Answer> {
  const { labModel } = await api.graphql(query(fields), { model, ...variables })
  return labModel.snapshot
}
async function codeOf(fields: string, variables: Record<string, unknown> = {}): Promise<string | undefined> {
  const { errors } = await api.answer(query(fields), { model, ...variables })
  return errors?.[0]?.extensions?.code
}

test('rows with the values of every type, and those that they refer to, read in one go each', async () => {
  const { readings } = await snapshot(`readings { totalCount nodes {
    sampleId replicate takenOn takenAt amount counts signal valid note
    sample { origin collectedAt } protocol { title upperLimit } instrument { name active } } }`)
  expect(readings.totalCount).toBe('4')
  expect(readings.nodes[0]).toEqual({
    sampleId: 's1',
    replicate: 2,
    takenOn: '2024-02-01',
    takenAt: '2024-01-31T09:00:00.500Z',
    amount: '8.000000',
    counts: '9007199254740993',
    signal: 0.25,
    valid: true,
    note: null,
    sample: { origin: 'well', collectedAt: '2024-01-01T00:00:00.000Z' },
    protocol: { title: 'Acidity', upperLimit: '7.500000' },
    instrument: null,
  })
  const [, second, third, fourth] = readings.nodes
  expect(second.instrument).toEqual({ name: 'Meter', active: true })
  expect([third.protocol, third.instrument, fourth.sample]).toEqual([null, null, null])
  expect([...api.reads].sort()).toEqual(['count', 'readByKeys', 'readByKeys', 'readByKeys', 'rows'])
})

test('only what is selected is read: a count alone reads no rows, and a version no reader', async () => {
  expect((await snapshot('readings { totalCount }')).readings.totalCount).toBe('4')
  expect(api.reads).toEqual(['count'])
  api.reads.length = 0
  await snapshot('tables { name rows } readings { __typename }')
  expect(api.reads).toEqual([])
})

test('one row by its key, in which nulls are equal', async () => {
  const found = await snapshot(`
    single: reading(sampleId: "s1", assay: "ph", revision: 1) { amount replicate }
    second: reading(sampleId: "s1", assay: "ph", revision: 1, replicate: 2) { amount }
    nobody: reading(sampleId: "s9", assay: "ph", revision: 1) { amount }
    day: calibration(instrumentId: "i1", day: "2024-01-01") { factor instrument { name } }`)
  expect(found).toMatchObject({
    single: { amount: '7.250000', replicate: null },
    second: { amount: '8.000000' },
    nobody: null,
    day: null,
  })
})

test('pages go forwards and backwards in any order, nulls where they are said to be', async () => {
  const args = 'orderBy: [{ column: amount, direction: DESC }, { column: note, nulls: FIRST }]'
  const page = 'nodes { sampleId } pageInfo { startCursor endCursor hasNextPage hasPreviousPage }'
  const ids = (of: Answer) => of.nodes.map((row: { sampleId: string }) => row.sampleId).join(' ')
  const all = (await snapshot(`readings(${args}) { ${page} }`)).readings
  expect(ids(all)).toBe('s1 s1 s3 s2')
  const first = (await snapshot(`readings(${args}, first: 2) { ${page} }`)).readings
  const second = (
    await snapshot(`readings(${args}, first: 2, after: $after) { ${page} }`, { after: first.pageInfo.endCursor })
  ).readings
  expect([ids(first), ids(second)]).toEqual(['s1 s1', 's3 s2'])
  expect([first.pageInfo.hasNextPage, second.pageInfo.hasNextPage, second.pageInfo.hasPreviousPage]).toEqual([
    true,
    false,
    true,
  ])
  const back = (
    await snapshot(`readings(${args}, last: 1, before: $before) { ${page} }`, { before: second.pageInfo.startCursor })
  ).readings
  expect([ids(back), back.pageInfo.hasPreviousPage, back.pageInfo.hasNextPage]).toEqual(['s1', true, true])
  const after = first.pageInfo.endCursor
  expect(await codeOf('readings(after: $after) { totalCount }', { after })).toBe('BAD_CURSOR')
  expect(await codeOf('samples(after: $after) { totalCount }', { after })).toBe('BAD_CURSOR')
})

test('where looks through references, and names what it does not understand', async () => {
  const ids = async (where: string) =>
    (await snapshot(`readings(where: ${where}) { nodes { sampleId } }`)).readings.nodes.map(
      (row: { sampleId: string }) => row.sampleId,
    )
  expect(await ids('{ sample: { origin: { eq: "well" } } }')).toEqual(['s1', 's1'])
  expect(await ids('{ protocol: { title: { ilike: "acid%" } }, amount: { gt: 7.9999999 } }')).toEqual(['s1'])
  expect(await ids('{ not: { sample: {} } }')).toEqual(['s3'])
  expect(await ids('{ or: [{ counts: { lt: 1 } }, { note: { like: "ä\\\\%" } }] }')).toEqual(['s3'])
  expect(await codeOf('readings(where: { amount: { eq: null } }) { totalCount }')).toBe('BAD_VALUE')
})

test('groups: buckets, exact sums, conditions, order, pages and the rows that they refer to', async () => {
  const { all, months, days, instruments } = await snapshot(`
    all: readingsAggregate { totalCount nodes { count sum { amount counts signal } avg { amount } min { takenOn takenAt } max { amount } countDistinct { assay note } group { assay } } }
    months: readingsAggregate(groupBy: [{ column: takenOn, bucket: MONTH }, { column: assay }], orderBy: [{ measure: GROUP, column: assay, direction: DESC }]) {
      totalCount nodes { group { takenOn assay sampleId sample { origin } } count sum { amount } } }
    days: readingsAggregate(groupBy: [{ column: assay }], having: [{ measure: COUNT, is: { gt: 1.5 } }, { measure: AVG, column: amount, is: { lt: "7.6" } }]) { nodes { group { assay } count } }
    instruments: readingsAggregate(groupBy: [{ column: instrumentId }], orderBy: [{ measure: SUM, column: amount }]) { nodes { group { instrumentId instrument { name } } } }`)
  expect(all.nodes).toEqual([
    {
      count: '4',
      sum: { amount: '22.500001', counts: '36028797018963972', signal: 1 },
      avg: { amount: expect.closeTo(5.62500025) },
      min: { takenOn: '2024-01-31', takenAt: '2024-01-31T09:00:00.500Z' },
      max: { amount: '8.000000' },
      countDistinct: { assay: '2', note: '1' },
      group: { assay: null },
    },
  ])
  expect(all.totalCount).toBe('1')
  expect(months.totalCount).toBe('3')
  expect(months.nodes).toEqual([
    {
      group: { takenOn: '2024-01-01', assay: 'ph', sampleId: null, sample: null },
      count: '1',
      sum: { amount: '7.250000' },
    },
    {
      group: { takenOn: '2024-02-01', assay: 'ph', sampleId: null, sample: null },
      count: '2',
      sum: { amount: '15.250000' },
    },
    {
      group: { takenOn: '2024-01-01', assay: 'iron', sampleId: null, sample: null },
      count: '1',
      sum: { amount: '0.000001' },
    },
  ])
  expect(days.nodes).toEqual([{ group: { assay: 'ph' }, count: '3' }])
  expect(instruments.nodes.map((node: Answer) => [node.group.instrumentId, node.group.instrument?.name])).toEqual([
    ['gone', undefined],
    ['i1', 'Meter'],
    [null, undefined],
  ])
})

test('pages of groups go on behind any measure', async () => {
  for (const order of [
    '{ measure: AVG, column: amount }',
    '{ measure: SUM, column: counts, direction: DESC }',
    '{ measure: MIN, column: takenAt }',
    '{ measure: COUNT }',
  ]) {
    const args = `groupBy: [{ column: sampleId }, { column: replicate }], orderBy: [${order}], first: 1`
    const seen: string[] = []
    let after: string | undefined
    for (let more = true; more; ) {
      const { readingsAggregate: page } = await snapshot(
        `readingsAggregate(${args}, after: $after) { nodes { group { sampleId replicate } } pageInfo { hasNextPage endCursor } }`,
        { after },
      )
      seen.push(...page.nodes.map(({ group }: Answer) => `${group.sampleId}/${group.replicate}`))
      after = page.pageInfo.endCursor
      more = page.pageInfo.hasNextPage
    }
    expect([...seen].sort(), order).toEqual(['s1/2', 's1/null', 's2/null', 's3/null'])
    expect(
      await codeOf('readingsAggregate(groupBy: [{ column: sampleId }], after: $after) { totalCount }', { after }),
    ).toBe('BAD_CURSOR')
  }
})

test('query functions: pages, counts, page fields, and cursors that are good for the same arguments alone', async () => {
  const { outsideLimits, dailyReadings } = await snapshot(`
    outsideLimits(assay: "ph", tolerance: 0.25) { upperLimit lowerLimit readings totalCount nodes { sampleId excess } }
    dailyReadings(first: 2) { totalCount nodes { day assay readings total lastAt } pageInfo { hasNextPage endCursor } }`)
  expect(outsideLimits).toEqual({
    upperLimit: '7.500000',
    lowerLimit: null,
    readings: '3',
    totalCount: '1',
    nodes: [{ sampleId: 's1', excess: '0.500000' }],
  })
  expect(dailyReadings.totalCount).toBe('4')
  expect(dailyReadings.nodes[0]).toEqual({
    day: '2024-01-31',
    assay: 'iron',
    readings: '1',
    total: '0.000001',
    lastAt: '2024-01-31T09:00:00.500Z',
  })
  const after = dailyReadings.pageInfo.endCursor
  const rest = await snapshot(
    'dailyReadings(after: $after) { nodes { day } pageInfo { hasNextPage hasPreviousPage } }',
    { after },
  )
  expect(rest.dailyReadings).toEqual({
    nodes: [{ day: '2024-02-01' }, { day: '2024-02-29' }],
    pageInfo: { hasNextPage: false, hasPreviousPage: true },
  })
  expect(await codeOf('dailyReadings(from: "2024-01-01", after: $after) { totalCount }', { after })).toBe('BAD_CURSOR')
  expect(await codeOf('outsideLimits(assay: "none") { totalCount }')).toBe('NO_PROTOCOL')
  expect(await codeOf('outsideLimits(assay: "ph", tolerance: -1) { totalCount }')).toBe('BAD_VALUE')
})

test('what a page of 1,000 rows refers to is read in one go for each reference, at whatever depth', async () => {
  const sales = await api.create({ kind: 'sales' })
  const numbers = Array.from({ length: 1000 }, (_, index) => index)
  const rows = numbers.map(index => ({
    ...{ orderId: `O${index}`, line: 1, date: '2024-01-01', quantity: '1', amount: '1' },
    ...{
      siteId: `S${index % 400}`,
      productId: `T${index}`,
      customerId: `C${index % 7}`,
      salespersonId: `P${index % 30}`,
    },
  }))
  await api.graphql(
    `mutation ($model: ID!, $sales: [SaleInput!]!, $sites: [SiteInput!]!, $people: [SalespersonInput!]!) {
       a: appendSites(model: $model, rows: $sites) { id } b: appendSalespersons(model: $model, rows: $people) { id }
       c: appendSales(model: $model, rows: $sales, waitMs: 30000) { id } }`,
    {
      model: sales,
      sales: rows,
      sites: numbers.slice(0, 400).map(index => ({ siteId: `S${index}`, name: `Site ${index}` })),
      people: numbers
        .slice(0, 30)
        .map(index => ({ salespersonId: `P${index}`, name: `P ${index}`, siteId: `S${index}` })),
    },
  )
  api.reads.length = 0
  const { salesModel } = await api.graphql(
    `{ salesModel(id: "${sales}") { snapshot { sales(first: 1000) { nodes {
       orderId site { name } product { name } customer { name } salesperson { name site { name } } } } } } }`,
  )
  const { nodes } = salesModel.snapshot.sales
  expect(nodes).toHaveLength(1000)
  const last = nodes.find(({ orderId }: Answer) => orderId === 'O999')
  expect(last).toMatchObject({ site: { name: 'Site 199' }, product: null, salesperson: { site: { name: 'Site 9' } } })
  expect([...api.reads].sort()).toEqual([...Array(5).fill('readByKeys'), 'rows'])
})

test.each([
  ['DUCKDB', 'DUCKDB'],
  ['ARROW', 'DUCKDB'],
  ['DUCKDB', 'ARROW'],
])(
  'a query function on %s reads the versions of other models that it is told (%s), and answers the same for ever',
  async (engine, other) => {
    const orders = await api.create({ kind: 'sales', engine: other })
    const stranger = await api.create({ kind: 'sales' })
    const reader = await api.create({ kind: 'lab', engine, reads: [orders, model] })
    const line = (orderId: string, productId: string) =>
      `{ orderId: "${orderId}", line: 1, date: "2024-01-01", siteId: "s", productId: "${productId}", customerId: "c", quantity: 1, amount: 1 }`
    await api.graphql(`mutation {
    a: appendLabSamples(model: "${reader}", rows: [{ sampleId: "a", collectedAt: "2024-01-01T00:00:00Z" }, { sampleId: "b", collectedAt: "2024-01-01T00:00:00Z" }], waitMs: 30000) { id }
    b: appendSales(model: "${orders}", rows: [${line('1', 'a')}, ${line('2', 'a')}, ${line('3', 'z')}], waitMs: 30000) { id }
    c: appendSales(model: "${orders}", rows: [${line('4', 'b')}], waitMs: 30000) { id } }`)
    const ask = (of: string, version: number) =>
      api.answer(
        `{ labModel(id: "${reader}") { snapshot { orderedSamples(orders: "${of}", ordersVersion: ${version}) { ordersVersion totalCount nodes { sampleId lines } } } } }`,
      )
    const answers = await Promise.all([1, 2].map(async version => (await ask(orders, version)).data))
    expect(answers.map(({ labModel }) => labModel.snapshot.orderedSamples)).toEqual([
      { ordersVersion: 1, totalCount: '1', nodes: [{ sampleId: 'a', lines: '2' }] },
      {
        ordersVersion: 2,
        totalCount: '2',
        nodes: [
          { sampleId: 'a', lines: '2' },
          { sampleId: 'b', lines: '1' },
        ],
      },
    ])
    const codes = await Promise.all(
      [ask(stranger, 0), ask(model, 1), ask(orders, 9)].map(async answer => (await answer).errors?.[0].extensions.code),
    )
    expect(codes).toEqual(['BAD_VALUE', 'BAD_VALUE', 'SNAPSHOT_NOT_YET'])
  },
)

test('a diff shows what came, went and changed, each as of its own version', async () => {
  const other = await api.create({ kind: 'lab' })
  const rows = (samples: string) => `appendLabSamples(model: "${other}", rows: [${samples}], waitMs: 30000) { version }`
  await api.graphql(
    `mutation { ${rows('{ sampleId: "a", collectedAt: "2024-01-01T00:00:00Z" }, { sampleId: "b", collectedAt: "2024-01-01T00:00:00Z" }')} }`,
  )
  await api.graphql(`mutation {
    a: deleteLabSamples(model: "${other}", where: { sampleId: { eq: "a" } }) { id }
    b: updateLabSamples(model: "${other}", where: { sampleId: { eq: "b" } }, set: { origin: "lake" }) { id }
    c: ${rows('{ sampleId: "c", collectedAt: "2024-01-01T00:00:00Z" }')} }`)
  const diff = async (args: string) =>
    (
      await api.graphql(
        `{ labModel(id: "${other}") { snapshot { samplesDiff(${args}) { edges { cursor node { change before { sampleId origin } after { origin } } } pageInfo { hasNextPage endCursor } } } } }`,
      )
    ).labModel.snapshot.samplesDiff
  const all = await diff('from: { version: 1 }')
  expect(all.edges.map((edge: Answer) => edge.node)).toEqual([
    { change: 'REMOVED', before: { sampleId: 'a', origin: null }, after: null },
    { change: 'CHANGED', before: { sampleId: 'b', origin: null }, after: { origin: 'lake' } },
    { change: 'ADDED', before: null, after: { origin: null } },
  ])
  const first = await diff('from: { version: 1 }, first: 1')
  expect(first.pageInfo.hasNextPage).toBe(true)
  const rest = await diff(
    `from: { version: 1 }, after: "${first.pageInfo.endCursor}", where: { origin: { isNull: false } }`,
  )
  expect(rest.edges.map((edge: Answer) => edge.node.change)).toEqual(['CHANGED'])
  const { errors } = await api.answer(
    `{ labModel(id: "${other}") { snapshot(at: { version: 1 }) { samplesDiff(from: { atLeast: 2 }) { nodes { change } } } } }`,
  )
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_VALUE' }, path: ['labModel', 'snapshot', 'samplesDiff'] }])
})
