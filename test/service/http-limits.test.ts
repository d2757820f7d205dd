import { getIntrospectionQuery } from 'graphql'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Answer, openServer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const post = (body: string) =>
  send(`${server.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' } }, body)
const nested = (levels: number, open = '{ a ', close = '}') => `${open.repeat(levels)}${close.repeat(levels)}`
const list = (length: number, text: (index: number) => string) => Array.from({ length }, (_, n) => text(n)).join(' ')
/** Fragments, each of which spreads the next inside of so many inline ones. */
const chain = (length: number, inside: number) =>
  `{ ...F0 } ${list(length, n => {
    const next = n < length - 1 ? `...F${n + 1}` : '__typename'
    return `fragment F${n} on Query { ${'...{'.repeat(inside)} ${next} ${'}'.repeat(inside)} }`
  })}`
const TYPE = '__type(name: "Query")'

const REFUSED: Record<string, [code: string, query: string]> = {
  fields: ['QUERY_TOO_DEEP', `{ ${TYPE} ${nested(20, '{ ofType ', '}').replace('ofType }', 'name }')} }`],
  'fields of fragments': [
    'QUERY_TOO_DEEP',
    `{ ${TYPE} { ...F0 } } ${list(19, n => `fragment F${n} on __Type { ofType { ${n < 18 ? `...F${n + 1}` : 'name'} } }`)}`,
  ],
  'thousands of levels': ['QUERY_TOO_DEEP', nested(3_000)],
  'a hundred thousand levels': ['QUERY_TOO_DEEP', nested(100_000)],
  values: ['QUERY_TOO_DEEP', `{ models(where: ${nested(5_000, '[', ']')}) { totalCount } }`],
  'types of variables': ['QUERY_TOO_DEEP', `query ($v: ${nested(5_000, '[', ']')}) { kinds { name } }`],
  'fragments of fragments': ['QUERY_TOO_DEEP', chain(2_400, 0)],
  'fragments in each other': ['QUERY_TOO_DEEP', chain(65, 97)],
  'fragments that nothing spreads': ['QUERY_TOO_DEEP', chain(65, 97).replace('...F0', '__typename')],
  aliases: ['TOO_MANY_ALIASES', `{ ${list(101, n => `a${n}: kinds { name }`)} }`],
  'aliases of fragments': [
    'TOO_MANY_ALIASES',
    `{ ${TYPE} { ...F0 } } ${list(8, n => {
      const next = n < 7 ? `{ ...F${n + 1} }` : '{ name }'
      return `fragment F${n} on __Type { a: ofType ${next} b: ofType ${next} }`
    })}`,
  ],
  tokens: ['QUERY_TOO_LARGE', `{ ${'kinds { name } '.repeat(5_001)} }`],
  length: ['QUERY_TOO_LARGE', `{ kinds { name } } #${'x'.repeat(1 << 20)}`],
}

const FINE: Record<string, string> = {
  'fields just so deep': `{ ${TYPE} ${nested(19, '{ ofType ', '}').replace('ofType }', 'name }')} }`,
  'a hundred aliases': `{ ${list(100, n => `a${n}: kinds { name }`)} }`,
  introspection: getIntrospectionQuery({ inputValueDeprecation: true, directiveIsRepeatable: true, oneOf: true }),
  'a chain of fragments': chain(50, 0),
}

describe('documents that ask for too much', () => {
  test.each(Object.entries(REFUSED))('%s', async (_, [code, query]) => {
    for (const time of ['first', 'again']) {
      const answer = await post(JSON.stringify({ query }))
      const { errors } = answer.json()
      expect([time, answer.status]).toEqual([time, code === 'QUERY_TOO_LARGE' ? 413 : 400])
      expect(errors.map((error: Answer) => error.extensions)).toEqual([{ code }])
    }
  })

  test('are told over a WebSocket, which stays open for the next', async () => {
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    })
    let closed = false
    client.on('closed', () => {
      closed = true
    })
    const held = client.iterate<Answer>({ query: 'subscription { modelChanges { id } }' })
    for (const [code, query] of Object.values(REFUSED)) {
      const errors = await client
        .iterate({ query })
        .next()
        .catch((errors: unknown) => errors)
      expect(errors).toMatchObject([{ extensions: { code } }])
      expect(Object.keys((errors as Answer[])[0].extensions)).toEqual(['code'])
    }
    expect(closed).toBe(false)
    await held.return?.()
    await client.dispose()
  })
})

test.each(Object.entries(FINE))('not too much: %s', async (_, query) => {
  const { data, errors } = await server.answer(query)
  expect(errors).toBeUndefined()
  expect(data).toBeTruthy()
})

test.each([150, 20_000])('variables that nest %i deep', async levels => {
  const variables = `{ "where": ${nested(levels, '{ "not": ', '}').replace(': }', ': {} }')} }`
  const query = 'query ($where: ModelWhere) { models(where: $where) { totalCount } }'
  const answer = await post(`{ "query": ${JSON.stringify(query)}, "variables": ${variables} }`)
  expect(answer.json().errors.map((error: Answer) => error.extensions)).toEqual([{ code: 'QUERY_TOO_DEEP' }])
})

test('fragments that spread each other are refused, not followed for ever', async () => {
  const { errors } = await server.answer('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }')
  expect(errors?.map(error => error.extensions.code)).toEqual(['BAD_VALUE'])
})

test('JSON that cannot be read is a bad value, with nothing of what read it', async () => {
  const url = `${server.url}/graphql`
  const posted = await post('{"query": ')
  const got = [
    await send(`${url}?${new URLSearchParams({ query: '{ kinds { name } }', variables: '{' })}`),
    await send(`${url}?${new URLSearchParams({ query: '{ kinds { name } }', extensions: '{' })}`),
  ]
  for (const answer of [posted, ...got]) {
    expect(answer.status).toBe(400)
    expect(answer.json()).toEqual({
      errors: [{ message: 'The request holds JSON that cannot be read.', extensions: { code: 'BAD_VALUE' } }],
    })
  }
})

describe('an operation that would be answered with too much', () => {
  let model: string
  beforeAll(async () => {
    const text = (length: number, n: number) => `${n}`.padEnd(length, '.')
    const sites = Array.from({ length: 2 }, (_, n) => ({ siteId: `S${n}`, name: text(20_000, n) }))
    const rows = Array.from({ length: 1000 }, (_, n) =>
      sale({ orderId: `A${n}`, siteId: `S${n % 2}`, customerId: text(4_000, n) }),
    )
    model = await server.salesModel(['appendSites', { rows: sites }], ['appendSales', { rows }])
  })
  const of = (fields: string) => `{ salesModel(id: "${model}") { snapshot { ${fields} } } }`
  const all = (fields: string) => `sales(first: 1000) { nodes { ${fields} } }`
  const SQL = 'sql(first: 1000, statement: "SELECT customerId FROM sales")'
  const TOO_MUCH: Record<string, () => string> = {
    'pages of rows': () => of(list(100, n => `a${n}: ${all('customerId')}`)),
    'pages of SQL': () => of(list(5, n => `a${n}: ${SQL} { rows }`)),
    'pages of groups': () =>
      of(
        list(
          5,
          n =>
            `a${n}: salesAggregate(groupBy: [{ column: customerId }], first: 1000) { nodes { group { customerId } } }`,
        ),
      ),
    'pages of what changed': () =>
      of(list(5, n => `a${n}: salesDiff(from: { version: 0 }, first: 1000) { nodes { after { customerId } } }`)),
    'the same text again and again': () => of(all(list(5, n => `a${n}: customerId`))),
    'the same text by a fragment again and again': () =>
      `${of(`sales(first: 1000) { ${list(5, n => `a${n}: nodes { ...Row }`)} }`)} fragment Row on Sale { customerId }`,
    'what many rows refer to': () => of(all('site { name }')),
    'what some rows refer to, again and again': () =>
      of(`sales(first: 200) { nodes { site { ${list(5, n => `a${n}: name`)} } } }`),
    'what some rows refer to, by a fragment again and again': () =>
      `${of(`sales(first: 200) { nodes { ${list(5, n => `a${n}: site { ...Site }`)} } }`)} fragment Site on Site { name }`,
  }
  const codes = (errors: Answer[] | undefined) => [...new Set(errors?.map(error => error.extensions.code))]

  test.each(Object.entries(TOO_MUCH))('%s', async (_, query) => {
    const answer = await post(JSON.stringify({ query: query() }))
    expect(codes(answer.json().errors)).toEqual(['RESULT_TOO_LARGE'])
    expect(answer.body.length).toBeLessThan(17 << 20)
  })

  test('over a WebSocket, and as an event of a subscription', async () => {
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    })
    const snapshot = `... on SalesSnapshot { ${all('site { name }')} }`
    for (const query of [
      of(all('site { name }')),
      `subscription { completions(model: "${model}") { edges { cursor } snapshot { ${snapshot} } } }`,
    ]) {
      const events = client.iterate<Answer>({ query })
      expect(codes((await events.next()).value?.errors as Answer[])).toEqual(['RESULT_TOO_LARGE'])
      await events.return?.()
    }
    await client.dispose()
  })

  test('is told from one that is just so large', async () => {
    const { data, errors } = await server.answer(of(list(3, n => `a${n}: ${all('customerId')}`)))
    expect(errors).toBeUndefined()
    expect(data.salesModel.snapshot.a2.nodes).toHaveLength(1000)
    const sides = 'before { customerId } after { customerId }'
    const diffs = list(3, n => `a${n}: salesDiff(from: { version: 0 }, first: 1000) { nodes { ${sides} } }`)
    expect((await server.answer(of(diffs))).errors).toBeUndefined()
    const { errors: none } = await server.answer(of(`${SQL} { rows }`))
    expect(none).toBeUndefined()
  })
})
