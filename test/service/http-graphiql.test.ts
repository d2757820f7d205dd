import { createHash } from 'node:crypto'
import { parse, validate } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSchema } from '../../src/resolvers/index.ts'
import { readyQueries } from '../../src/server/ready-queries.ts'
import { openServer, type RawAnswer, send, type TestServer } from '../support/http-server.ts'

let server: TestServer
let page: RawAnswer
const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const open = (headers: Record<string, string> = {}) =>
  send(`${server.url}/graphql`, { headers: { accept: ACCEPT, ...headers } })
beforeAll(async () => {
  server = await openServer()
  page = await open()
})
afterAll(() => server[Symbol.asyncDispose]())

test('a browser is given GraphiQL', () => {
  expect(page.status).toBe(200)
  expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', vary: 'accept' })
  expect(page.body.toString()).toContain('<title>Teatree</title>')
})

test('the page may run its own script alone, and fetch from nobody but us', () => {
  const html = page.body.toString()
  const script = html.slice(html.indexOf('<script>') + 8, html.lastIndexOf('</script>'))
  const hash = createHash('sha256').update(script).digest('base64')
  // A browser hashes the script as it is after parsing, which makes CR and NUL something else.
  expect(script).not.toMatch(/\r|\0/)
  expect(String(page.headers['content-security-policy']).split('; ')).toEqual([
    "default-src 'none'",
    `script-src 'sha256-${hash}'`,
    'worker-src blob:',
    "style-src 'unsafe-inline'",
    'img-src data:',
    'font-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ])
})

test('nothing that the page loads is of another host', () => {
  const html = page.body.toString()
  const markup = html.slice(0, html.indexOf('<style>')) + html.slice(html.indexOf('</style>'), html.indexOf('<script>'))
  const loaded = [...markup.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url?.slice(0, 11))
  expect(loaded).toEqual(['data:image/'])
  const styles = html.slice(html.indexOf('<style>'), html.indexOf('</style>'))
  expect(styles).not.toContain('@import')
  for (const [, url] of styles.matchAll(/url\(["']?([^)"']{0,20})/g)) expect(url).toMatch(/^(data:|#)/)
})

test('it is not sent again to a browser that has it', async () => {
  const again = await open({ 'if-none-match': String(page.headers.etag) })
  expect([again.status, again.body.length]).toEqual([304, 0])
  expect(again.headers['content-security-policy']).toBe(page.headers['content-security-policy'])
})

test('a list of ready queries is there on first open, each of which can be run', async () => {
  const schema = makeSchema(server)
  const queries = await readyQueries()
  expect(queries.length).toBeGreaterThan(8)
  for (const query of queries) {
    expect(validate(schema, parse(query))).toEqual([])
    expect(page.body.toString()).toContain(JSON.stringify(query))
  }
})

test('who does not ask for a page gets an answer', async () => {
  const query = '{ kinds { name } }'
  const answer = await send(`${server.url}/graphql?${new URLSearchParams({ query })}`, { headers: { accept: '*/*' } })
  expect(answer.json().data.kinds).toHaveLength(2)
})
