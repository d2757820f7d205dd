import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openServer, type TestServer } from '../support/http-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

/** The server is there when an audit runs, and has its address by then. */
const audits = serverAudits({
  url: () => `${server.url}/graphql`,
  fetchFn: (url: string, init?: RequestInit) => fetch(url, init),
})

test('the audits are those of all three levels', () => {
  const levels = new Set(audits.map(({ name }) => name.split(' ')[0]))
  expect(levels).toEqual(new Set(['MUST', 'SHOULD', 'MAY']))
})

test.each(audits.map(audit => [audit.name, audit] as const))('%s', async (_, audit) => {
  const result = await audit.fn()
  expect(result.status, 'reason' in result ? result.reason : undefined).toBe('ok')
})
