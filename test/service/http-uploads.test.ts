import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { heldBytes } from '../support/held-memory.ts'
import { openServer, read, send, type TestServer, until } from '../support/http-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const CSV = 'siteId,name\nS1,One\nS2,Two\n'
const sha256 = (bytes: string | Uint8Array, encoding: 'hex' | 'base64') =>
  createHash('sha256').update(bytes).digest(encoding)

const upload = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  send(`${server.url}/uploads`, { method: 'POST', headers }, body)

/** Files in the store, those that are not whole yet included. */
const stored = async () => (await readdir(join(server.dataDir, 'store', 'uploads')).catch(() => [])).sort()

test('a file is stored and described', async () => {
  const answer = await upload(CSV, { digest: `sha-256=${sha256(CSV, 'base64')}`, 'content-type': 'text/csv' })
  expect(answer.status).toBe(201)
  const { id, ...rest } = answer.json()
  expect(rest).toEqual({ bytes: CSV.length, sha256: sha256(CSV, 'hex') })
  const stream = await server.objects.get(`uploads/${id}`)
  if (!stream) throw new Error('not stored')
  expect(await text(stream)).toBe(CSV)
  const { data } = await server.answer('query ($id: ID!) { upload(id: $id) { format rows columns { name } } }', { id })
  expect(data.upload).toEqual({ format: 'CSV', rows: null, columns: [{ name: 'siteId' }, { name: 'name' }] })
})

test('one that waits to be asked for its body is asked, or refused before it sends any', async () => {
  const begin = (digest: string): ClientRequest => {
    const headers = { expect: '100-continue', digest, 'content-length': CSV.length }
    const sent = request(`${server.url}/uploads`, { method: 'POST', agent: false, headers })
    sent.flushHeaders()
    return sent
  }
  const taken = begin(`sha-256=${sha256(CSV, 'base64')}`)
  await once(taken, 'continue')
  taken.end(CSV)
  const [answer] = (await once(taken, 'response')) as [IncomingMessage]
  expect((await read(answer)).status).toBe(201)

  const refused = begin('sha-256=short')
  let asked = false
  refused.on('continue', () => {
    asked = true
  })
  const [refusal] = (await once(refused, 'response')) as [IncomingMessage]
  expect((await read(refusal)).status).toBe(400)
  expect(asked).toBe(false)
  refused.destroy()
})

test('what is not as announced is refused, and leaves nothing', async () => {
  const before = await stored()
  const right = `sha-256=${sha256(CSV, 'base64')}`
  const digests = {
    'sha-256=nothing': 'BAD_VALUE',
    [`sha-256=${sha256(CSV, 'hex')}`]: 'BAD_VALUE',
    'md5=HUXZLQLMuI/KZ5KDcJPcOA==': 'BAD_VALUE',
    [right.replace('sha-256=', 'sha-256:')]: 'BAD_VALUE',
    [`sha-256=${sha256('else', 'base64')}`]: 'CHECKSUM_MISMATCH',
  }
  for (const [digest, code] of Object.entries(digests)) {
    const answer = await upload(CSV, { digest })
    expect([digest, answer.status, answer.json().error.code]).toEqual([digest, 400, code])
  }
  expect((await upload(CSV, { digest: `md5=AA==, ${right.replace('sha', 'SHA')}` })).status).toBe(201)
  expect(await stored()).toHaveLength(before.length + 1)
})

test('a file of no known format is refused while it is still being sent, and the client sees why', async () => {
  const before = await stored()
  const picture = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(20 << 20, 1)])
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
    const answer = await upload(picture, headers)
    expect(answer.status).toBe(415)
    expect(answer.json().error).toEqual({ code: 'WRONG_FORMAT', message: expect.stringContaining('Parquet') })
    expect(answer.headers.connection).toBe('close')
  }
  expect((await upload('')).json().error.code).toBe('WRONG_FORMAT')
  expect(await stored()).toEqual(before)
})

test('a client that goes away in the middle leaves nothing', async () => {
  const before = await stored()
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.write(`POST /uploads HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 100000000\r\n\r\n`)
  socket.write(`${CSV}${'S3,Three\n'.repeat(20_000)}`)
  let during = before
  for (; during.length === before.length; await wait(5)) during = await stored()
  socket.resetAndDestroy()
  let after = during
  for (; after.length !== before.length; await wait(5)) after = await stored()
  expect(after).toEqual(before)
})

test('a body is read no faster than it is stored, and memory stays flat', async () => {
  const line = Buffer.from('S1,One\n'.repeat(10_000))
  const times = 600
  const sent = request(`${server.url}/uploads`, { method: 'POST', agent: false })
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>
  sent.write('siteId,name\n')
  let most = 0
  const before = heldBytes()
  for (let count = 0; count < times; count++) {
    if (!sent.write(line)) await once(sent, 'drain')
    if (count % 50 === 0) most = Math.max(most, heldBytes() - before)
  }
  sent.end()
  const answer = await read((await answered)[0])
  expect(answer.json().bytes).toBe(12 + times * line.length)
  expect(most).toBeLessThan(4 << 20)
  await until(() => server.held === 0)
})
