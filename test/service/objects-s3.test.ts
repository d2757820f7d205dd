import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { inspect } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import { clientSettings, type Patience, parseS3Url } from '../../src/platform/objects/s3-settings.ts'
import { abortStrayUploads } from '../../src/platform/objects/s3-strays.ts'
import { bytesOf, inChunks, onS3, S3_URL, s3TestStore, textOf } from '../support/object-stores.ts'
import { type Rule, startTcpProxy, type Verdict } from '../support/tcp-proxy.ts'

const MB = 1024 * 1024
/** The store at `url` seen through a proxy; `rule` is asked of every chunk. */
async function through(
  url: string,
  rule: Rule,
  patience: Patience = {},
): Promise<{ store: ObjectStore } & AsyncDisposable> {
  const proxy = await startTcpProxy(`${process.env.AWS_ENDPOINT_URL_S3}`, rule)
  const store = openObjectStore(url, { ...process.env, AWS_ENDPOINT_URL_S3: proxy.url }, patience)
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

const isPart = (request: string) => /^PUT .*partNumber=/.test(request)
const isBegin = (request: string) => /^POST .*\?uploads/.test(request)
const isComplete = (request: string) => /^POST .*uploadId=/.test(request)
const isRead = (request: string) =>
  request.startsWith('GET ') && !request.includes('?list-type') && !request.includes('?uploads')

describe.runIf(S3_URL)(onS3('s3 store'), () => {
  test('gives URLs that work without credentials, for one object', async () => {
    await using t = await s3TestStore()
    const key = 'odd & ünï/a+b c?.csv'
    await t.store.put(key, Buffer.from('a,b\n'), { contentType: 'text/csv' })
    const url = `${await t.store.presign(key, 60)}`
    const answer = await fetch(url)
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([200, 'text/csv', 'a,b\n'])
    expect((await fetch(url.replace('.csv', '.cs'))).status).toBe(403)
    await expect(t.store.presign(key, 604_801)).rejects.toThrow('604800')
    expect(t.store.uri(key)).toBe(`${t.url}/${key}`)
  })

  test.for([
    ['secret key', { AWS_SECRET_ACCESS_KEY: 'WRONGSECRET' }, /AWS_SECRET_ACCESS_KEY/],
    ['access key', { AWS_ACCESS_KEY_ID: 'AKIAWRONG' }, /AWS_ACCESS_KEY_ID/],
  ] as const)('says what to check of a wrong %s, and never the key', async ([, wrong, check]) => {
    await using t = await s3TestStore()
    const env: NodeJS.ProcessEnv = { ...process.env, ...wrong }
    const store = openObjectStore(t.url, env)
    const calls = [
      store.put('small', Buffer.from('x')),
      store.put('large', inChunks(randomBytes(12 * MB))),
      store.get('small'),
      store.head('small'),
      store.delete('small'),
      store.deletePrefix('a/'),
      store.check(),
    ]
    for (const result of await Promise.allSettled(calls)) {
      const error = result.status === 'rejected' ? result.reason : result
      expect(error).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(check) })
      for (const secret of [env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY]) {
        expect(inspect(error, { depth: null, showHidden: true })).not.toContain(secret)
      }
    }
    await store.close()
  })

  test('names the bucket that is not there', async () => {
    const store = openObjectStore('s3://teatree-no-such-bucket/x')
    const named = { code: 'UNAVAILABLE', message: expect.stringContaining('TEATREE_STORE_URL') }
    await expect(store.put('a', Buffer.from('x'))).rejects.toMatchObject(named)
    await expect(store.get('a')).rejects.toMatchObject(named)
    await expect(store.check()).rejects.toMatchObject(named)
    await store.close()
  })

  test('is UNAVAILABLE where nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const store = openObjectStore('s3://bucket/x', { ...process.env, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` })
    const calls = [
      store.put('small', Buffer.from('x')),
      store.put('large', inChunks(randomBytes(12 * MB))),
      store.get('small'),
      store.head('small'),
      store.delete('small'),
      store.deletePrefix('a/'),
      store.check(),
    ]
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({
        reason: { code: 'UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') },
      })
    }
    await store.close()
  })

  test('sends a part again whose connection was cut', async () => {
    await using t = await s3TestStore()
    let cuts = 0
    await using proxied = await through(t.url, (side, _chunk, { request, up }) =>
      side === 'up' && isPart(request) && up > MB && cuts++ < 2 ? 'cut' : 'pass',
    )
    const bytes = randomBytes(17 * MB)
    expect(await proxied.store.put('up', inChunks(bytes))).toMatchObject({ bytes: bytes.length })
    expect(cuts).toBeGreaterThan(1)
    expect((await bytesOf(await t.store.get('up')))?.equals(bytes)).toBe(true)
    expect(await t.unfinished()).toEqual([])
  })

  test('shows nothing of an upload whose parts are always cut off', async () => {
    await using t = await s3TestStore()
    await using proxied = await through(t.url, (side, _chunk, { request, up }) =>
      side === 'up' && isPart(request) && up > MB ? 'cut' : 'pass',
    )
    await expect(proxied.store.put('up', inChunks(randomBytes(17 * MB)))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await t.store.head('up')).toBeNull()
    expect(await t.unfinished()).toEqual([])
  })

  test('looks what became of an upload whose completion was never answered', async () => {
    await using t = await s3TestStore()
    let completed = 0
    await using proxied = await through(t.url, (side, _chunk, { request }) => {
      if (side === 'up' || !isComplete(request)) return 'pass'
      completed++
      return 'cut'
    })
    const bytes = randomBytes(11 * MB)
    expect(await proxied.store.put('up', inChunks(bytes))).toMatchObject({ bytes: bytes.length })
    expect(completed).toBeGreaterThan(0)
    expect((await bytesOf(await t.store.get('up')))?.equals(bytes)).toBe(true)
  })

  test('keeps what was there where the completion never arrived', async () => {
    await using t = await s3TestStore()
    await t.store.put('up', Buffer.from('before'))
    await using proxied = await through(t.url, (side, _chunk, { request }) =>
      side === 'up' && isComplete(request) ? 'cut' : 'pass',
    )
    await expect(proxied.store.put('up', inChunks(randomBytes(11 * MB)))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await textOf(await t.store.get('up'))).toBe('before')
    expect(await t.unfinished()).toEqual([])
  })

  test.for([
    ['fewer bytes', Buffer.from('whole ')],
    ['other bytes', Buffer.from('whole thinG')],
    ['none', null],
  ] as const)('notices a store that keeps %s, and leaves nothing there', async ([, kept]) => {
    await using t = await s3TestStore()
    const rule: Rule = async (side, _chunk, { request }): Promise<Verdict> => {
      if (side === 'down' && request.startsWith('PUT ')) {
        await (kept === null ? t.store.delete('up') : t.store.put('up', kept))
      }
      return 'pass'
    }
    await using proxied = await through(t.url, rule)
    await expect(proxied.store.put('up', Buffer.from('whole thing'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('of the 11 bytes it was sent'),
    })
    expect(await t.store.head('up')).toBeNull()
  })

  test('reads on where a download was cut off or fell silent', async () => {
    await using t = await s3TestStore()
    const bytes = randomBytes(6 * MB)
    await t.store.put('down', inChunks(bytes))
    let cuts = 0
    const rule: Rule = (side, _chunk, { request, down }) => {
      if (side === 'up' || !isRead(request) || down < MB || cuts === 4) return 'pass'
      return cuts++ % 2 === 0 ? 'cut' : 'swallow'
    }
    await using proxied = await through(t.url, rule, { stallMs: 1_000 })
    expect((await bytesOf(await proxied.store.get('down')))?.equals(bytes)).toBe(true)
    expect(cuts).toBe(4)
    cuts = 0
    const part = await bytesOf(await proxied.store.get('down', { start: 5, end: 5 * MB }))
    expect(part?.equals(bytes.subarray(5, 5 * MB))).toBe(true)
    expect(cuts).toBe(4)
  })

  test('does not go on with another object than it began with', async () => {
    await using t = await s3TestStore()
    await t.store.put('down', inChunks(randomBytes(6 * MB)))
    await using proxied = await through(t.url, async (side, _chunk, { request, down }) => {
      if (side === 'up' || !isRead(request) || down < MB) return 'pass'
      await t.store.put('down', inChunks(randomBytes(6 * MB)))
      return 'cut'
    })
    await expect(bytesOf(await proxied.store.get('down'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('read it again'),
    })
  })

  test('waits for a silent store only so long, and reads no more of a body meanwhile', async () => {
    await using t = await s3TestStore()
    let given = 0
    const body = async function* () {
      for (; given < 200; given++) yield randomBytes(MB)
    }
    const rule: Rule = (side, _chunk, { request }) => (side === 'up' && !isBegin(request) ? 'swallow' : 'pass')
    await using proxied = await through(t.url, rule, { stallMs: 500, attempts: 2 })
    const calls = [
      proxied.store.put('small', Buffer.from('x')),
      proxied.store.put('large', body()),
      proxied.store.get('small'),
      proxied.store.head('small'),
    ]
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({
        reason: { code: 'UNAVAILABLE', message: expect.stringContaining('does not answer') },
      })
    }
    expect(given).toBeGreaterThan(10)
    expect(given).toBeLessThan(40)
    expect(await t.store.head('large')).toBeNull()
  })

  test('aborts uploads that were left unfinished, if they are old enough and below the prefix', async () => {
    await using t = await s3TestStore()
    await using proxied = await through(t.url, (side, _chunk, { request }) =>
      side === 'up' && (isPart(request) || request.startsWith('DELETE ')) ? 'cut' : 'pass',
    )
    await expect(proxied.store.put('up', inChunks(randomBytes(12 * MB)))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await t.unfinished()).toHaveLength(1)

    const client = new S3Client(clientSettings(process.env, {}))
    const { bucket, prefix } = parseS3Url(t.url)
    const { signal } = new AbortController()
    const before = (hours: number) => new Date(Date.now() + hours * 3_600_000)
    await abortStrayUploads(client, { bucket, prefix, before: before(-24) }, signal)
    await abortStrayUploads(client, { bucket, prefix: `${prefix}other/`, before: before(24) }, signal)
    expect(await t.unfinished()).toHaveLength(1)
    await abortStrayUploads(client, { bucket, prefix, before: before(24) }, signal)
    expect(await t.unfinished()).toEqual([])
    client.destroy()
  })
})
