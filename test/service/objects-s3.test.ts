import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { inspect } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { clientSettings, parseS3Url } from '../../src/platform/objects/s3-settings.ts'
import { abortStrayUploads } from '../../src/platform/objects/s3-strays.ts'
import { inChunks, onS3, S3_URL, s3TestStore, throughProxy } from '../support/object-stores.ts'

const MB = 1024 * 1024
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
    const store = await openObjectStore(t.url, env)
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
    const store = await openObjectStore('s3://teatree-no-such-bucket/x')
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
    const store = await openObjectStore('s3://bucket/x', {
      ...process.env,
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    })
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

  test('aborts uploads that were left unfinished, if they are old enough and below the prefix', async () => {
    await using t = await s3TestStore()
    await using proxied = await throughProxy(t.url, (side, _chunk, { request }) =>
      side === 'up' && (/^PUT .*partNumber=/.test(request) || request.startsWith('DELETE ')) ? 'cut' : 'pass',
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
