import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { bytesOf, inChunks, onS3, S3_URL, s3TestStore, textOf, throughProxy } from '../support/object-stores.ts'
import type { Rule, Verdict } from '../support/tcp-proxy.ts'

const MB = 1024 * 1024
const isPart = (request: string) => /^PUT .*partNumber=/.test(request)
const isPut = (request: string) => request.startsWith('PUT ')
const isBegin = (request: string) => /^POST .*\?uploads/.test(request)
const isComplete = (request: string) => /^POST .*uploadId=/.test(request)
const isRead = (request: string) =>
  request.startsWith('GET ') && !request.includes('?list-type') && !request.includes('?uploads')

describe.runIf(S3_URL)(onS3('s3 store behind a bad line'), () => {
  test('sends a part again whose connection was cut', async () => {
    await using t = await s3TestStore()
    let cuts = 0
    await using proxied = await throughProxy(t.url, (side, _chunk, { request, up }) =>
      side === 'up' && isPart(request) && up > MB && cuts++ < 2 ? 'cut' : 'pass',
    )
    const bytes = randomBytes(17 * MB)
    expect(await proxied.store.put('up', inChunks(bytes))).toMatchObject({ bytes: bytes.length })
    expect(cuts).toBeGreaterThan(1)
    expect((await bytesOf(await t.store.get('up')))?.equals(bytes)).toBe(true)
    expect(await t.unfinished()).toEqual([])
  })

  test('does not take a line that is slow for one that is dead', async () => {
    await using t = await s3TestStore()
    const bytes = randomBytes(4 * MB)
    let requests = 0
    await using proxied = await throughProxy(
      t.url,
      async (side, chunk, { request }): Promise<Verdict> => {
        if (side === 'up' && isPut(request)) {
          if (chunk.includes(request)) requests += 1
          // All of it is in the hands of the system long before it has gone out: nothing stirs meanwhile that we could see.
          await wait((chunk.length / bytes.length) * 3_000)
        }
        return 'pass'
      },
      { stallMs: 1_500 },
    )
    expect(await proxied.store.put('up', bytes)).toMatchObject({ bytes: bytes.length })
    expect(requests).toBe(1)
    expect((await bytesOf(await t.store.get('up')))?.equals(bytes)).toBe(true)
  })

  test('shows nothing of an upload whose parts are always cut off', async () => {
    await using t = await s3TestStore()
    await using proxied = await throughProxy(t.url, (side, _chunk, { request, up }) =>
      side === 'up' && isPart(request) && up > MB ? 'cut' : 'pass',
    )
    await expect(proxied.store.put('up', inChunks(randomBytes(17 * MB)))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await t.store.head('up')).toBeNull()
    expect(await t.unfinished()).toEqual([])
  })

  test('looks what became of an upload whose completion was never answered', async () => {
    await using t = await s3TestStore()
    let completed = 0
    await using proxied = await throughProxy(t.url, (side, _chunk, { request }) => {
      if (side === 'up' || !isComplete(request)) return 'pass'
      completed++
      return 'cut'
    })
    const bytes = randomBytes(11 * MB)
    expect(await proxied.store.put('up', inChunks(bytes))).toMatchObject({ bytes: bytes.length })
    expect(completed).toBeGreaterThan(0)
    expect((await bytesOf(await t.store.get('up')))?.equals(bytes)).toBe(true)
  })

  test('leaves nothing of an upload that was called off as it began', async () => {
    await using t = await s3TestStore()
    const calledOff = new AbortController()
    await using proxied = await throughProxy(t.url, (side, _chunk, { request }) => {
      // The store has begun it, and nobody here has heard of it yet.
      if (side === 'down' && isBegin(request)) calledOff.abort(new Error('called off'))
      return 'pass'
    })
    const put = proxied.store.put('up', inChunks(randomBytes(11 * MB)), { signal: calledOff.signal })
    await expect(put).rejects.toThrow('called off')
    expect(await t.unfinished()).toEqual([])
  })

  test('does not wait long for a silent store to begin an upload that was called off', async () => {
    await using t = await s3TestStore()
    const calledOff = new AbortController()
    await using proxied = await throughProxy(t.url, (side, _chunk, { request }) => {
      if (side === 'down' || !isBegin(request)) return 'pass'
      calledOff.abort(new Error('called off'))
      return 'swallow'
    })
    const put = proxied.store.put('up', inChunks(randomBytes(11 * MB)), { signal: calledOff.signal })
    await expect(put).rejects.toThrow('called off')
  })

  test('keeps what was there where the completion never arrived', async () => {
    await using t = await s3TestStore()
    await t.store.put('up', Buffer.from('before'))
    await using proxied = await throughProxy(t.url, (side, _chunk, { request }) =>
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
    await using proxied = await throughProxy(t.url, rule)
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
    await using proxied = await throughProxy(t.url, rule, { stallMs: 1_000 })
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
    await using proxied = await throughProxy(t.url, async (side, _chunk, { request, down }) => {
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
    await using proxied = await throughProxy(t.url, rule, { stallMs: 500, attempts: 2 })
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
})
