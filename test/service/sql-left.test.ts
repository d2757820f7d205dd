import { readdir, readFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { openServer } from '../support/http-server.ts'

test('a client that goes away takes its statement with it', { timeout: 120_000 }, async () => {
  await using server = await openServer()
  const model = await server.salesModel()
  const leaving = new AbortController()
  const statement = 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1'
  const asking = fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      query: `query ($model: ID!, $statement: String!) { salesModel(id: $model) { snapshot { sql(statement: $statement) { rows } } } }`,
      variables: { model, statement },
    }),
    signal: leaving.signal,
  }).catch(error => error.name)
  const pid = await vi.waitFor(async () => {
    for (const id of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')
      if (!command.includes('query-program') || !command.includes(server.dataDir)) continue
      if (Number((await readFile(`/proc/${id}/stat`, 'utf8')).split(' ')[13]) > 100) return id
    }
    throw new Error('none works yet')
  }, 60_000)
  expect(server.held).toBe(1)
  leaving.abort()
  expect(await asking).toBe('AbortError')
  await vi.waitFor(async () => {
    await expect(readFile(`/proc/${pid}/cmdline`, 'utf8')).rejects.toThrow('ENOENT')
    expect(server.held).toBe(0)
  }, 30_000)
})
