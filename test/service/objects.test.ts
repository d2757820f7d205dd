import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { bytesOf, inChunks, keysOf, STORES, sha256, textOf } from '../support/object-stores.ts'

describe.each(STORES)('$name', ({ make, there }) => {
  const on = test.runIf(there)

  on('gives back what was put, and replaces it', async () => {
    await using t = await make()
    const bytes = randomBytes(200_000)
    const put = await t.store.put('models/north/1/sales.parquet', inChunks(bytes), { contentType: 'text/csv' })
    expect(put).toEqual({ key: 'models/north/1/sales.parquet', bytes: 200_000, sha256: sha256(bytes) })
    expect(await t.store.head(put.key)).toEqual({ key: put.key, bytes: 200_000 })
    expect((await bytesOf(await t.store.get(put.key)))?.equals(bytes)).toBe(true)

    await t.store.put(put.key, Buffer.from('second'))
    expect(await textOf(await t.store.get(put.key))).toBe('second')
    expect(await t.store.head(put.key)).toEqual({ key: put.key, bytes: 6 })
  })

  on('says null of an object that is not there, and deletes it without complaint', async () => {
    await using t = await make()
    await t.store.put('a/b', Buffer.from('x'))
    for (const key of ['none', 'a', 'a/b/c', 'none/at/all']) {
      expect(await t.store.head(key)).toBeNull()
      expect(await t.store.get(key)).toBeNull()
      expect(await t.store.get(key, { start: 2, end: 2 })).toBeNull()
      await t.store.delete(key)
    }
    await t.store.deletePrefix('a/b/')
    expect(await textOf(await t.store.get('a/b'))).toBe('x')
    await expect(t.store.getFile('none', join(t.folder, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await readdir(t.folder)).filter(name => name !== 'store')).toEqual([])
  })

  on('gives ranges', async () => {
    await using t = await make()
    await t.store.put('digits', Buffer.from('0123456789'))
    const range = async (start?: number, end?: number) => textOf(await t.store.get('digits', { start, end }))
    expect(await range(3, 7)).toBe('3456')
    expect(await range(7)).toBe('789')
    expect(await range(undefined, 2)).toBe('01')
    expect(await range(8, 100)).toBe('89')
    expect(await range(4, 4)).toBe('')
    expect(await range(10, 12)).toBe('')
    for (const [start, end] of [
      [-1, 2],
      [3, 2],
      [0.5, 2],
      [Number.NaN, 2],
    ]) {
      await expect(range(start, end)).rejects.toThrow('is no range of bytes')
    }
  })

  on('keeps empty objects', async () => {
    await using t = await make()
    expect(await t.store.put('empty', inChunks(Buffer.alloc(0)))).toMatchObject({
      bytes: 0,
      sha256: sha256(Buffer.alloc(0)),
    })
    expect(await t.store.head('empty')).toEqual({ key: 'empty', bytes: 0 })
    expect(await textOf(await t.store.get('empty'))).toBe('')
    expect(await textOf(await t.store.get('empty', { start: 0, end: 5 }))).toBe('')
    const path = join(t.folder, 'empty')
    expect(await t.store.getFile('empty', path)).toMatchObject({ bytes: 0 })
    expect(await readFile(path, 'utf8')).toBe('')
  })

  on('lists by the bytes of the keys, and deletes a folder without its neighbours', async () => {
    await using t = await make()
    const keys = ['a!/x', 'a/1', 'a/10', 'a/2/z', 'a/2é', 'a/\uFF5E', 'a/😀', 'a0', 'ab/1', 'é', '日本/語']
    for (const key of keys.toReversed()) await t.store.put(key, Buffer.from(key))
    expect(await keysOf(t.store.list(''))).toEqual(keys)
    expect(await keysOf(t.store.list('a'))).toEqual(keys.slice(0, 9))
    expect(await keysOf(t.store.list('a/1'))).toEqual(['a/1', 'a/10'])
    expect(await keysOf(t.store.list('a/2/'))).toEqual(['a/2/z'])
    expect(await keysOf(t.store.list('nothing/here'))).toEqual([])
    for await (const { key, bytes } of t.store.list('')) expect(bytes).toBe(Buffer.byteLength(key))

    await t.store.delete('a/10')
    await t.store.deletePrefix('a/')
    await t.store.deletePrefix('nothing/')
    expect(await keysOf(t.store.list(''))).toEqual(['a!/x', 'a0', 'ab/1', 'é', '日本/語'])
    await expect(t.store.deletePrefix('a')).rejects.toThrow("does not end in '/'")
    await expect(t.store.deletePrefix('')).rejects.toThrow("does not end in '/'")
  })

  on('lists more than one page', async () => {
    await using t = await make()
    const keys = Array.from({ length: 1_030 }, (_, i) => `many/${String(i).padStart(4, '0')}`)
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map(key => t.store.put(key, Buffer.from('x'))))
    }
    expect(await keysOf(t.store.list('many/'))).toEqual(keys)
    await t.store.deletePrefix('many/')
    expect(await keysOf(t.store.list(''))).toEqual([])
  })

  on('takes odd keys as they are', async () => {
    await using t = await make()
    const keys = [
      ' lead',
      'trail ',
      '&amp;<b>',
      'a+b c%20d',
      '..c',
      '...',
      'q\'u"o',
      'back\\slash',
      '?x=1#y',
      '*',
      '~',
      '\u2028',
    ]
    for (const key of keys) {
      await t.store.put(`odd/${key}`, Buffer.from(key))
      expect(await textOf(await t.store.get(`odd/${key}`))).toBe(key)
      expect(await keysOf(t.store.list(`odd/${key}`))).toContain(`odd/${key}`)
    }
    expect(new Set(await keysOf(t.store.list('odd/')))).toEqual(new Set(keys.map(key => `odd/${key}`)))
    const longest = `${'é'.repeat(120)}/${'x'.repeat(255)}/${'y'.repeat(255)}`
    await t.store.put(longest, Buffer.from('long'))
    expect(await keysOf(t.store.list(longest))).toEqual([longest])
  })

  on('refuses what is no key', async () => {
    await using t = await make()
    const bad = [
      '',
      '/',
      '/a',
      'a/',
      'a//b',
      '.',
      '..',
      'a/../b',
      './a',
      'a\0b',
      'a\nb',
      '\uD800',
      '\uFFFF',
      'x'.repeat(256),
    ]
    for (const key of [...bad, `${'x/'.repeat(400)}x`, `a/.${randomUUID()}.tmp`]) {
      await expect(t.store.put(key, Buffer.from('x'))).rejects.toThrow(/^Object key /)
      await expect(t.store.get(key)).rejects.toThrow(/^Object key /)
      await expect(t.store.delete(key)).rejects.toThrow(/^Object key /)
      expect(() => t.store.uri(key)).toThrow(/^Object key /)
    }
  })

  on('checks that it can be written to, and leaves nothing there', async () => {
    await using t = await make()
    await t.store.check()
    expect(await keysOf(t.store.list(''))).toEqual([])
    expect(await t.unfinished()).toEqual([])
  })
})

test('a URL that is no store stops the start', async () => {
  for (const url of [
    '',
    'store',
    '/path',
    'http://host/x',
    'file://host/path',
    'file:///p?q',
    's3://',
    's3:///x',
    's3://b/../x',
  ]) {
    await expect(openObjectStore(url), url).rejects.toMatchObject({ name: 'UsageError' })
  }
  await expect(openObjectStore('s3://AKIDEXAMPLE:secret@bucket')).rejects.toThrow(/^((?!secret).)*$/)
  await expect(openObjectStore('s3://bucket', { AWS_ENDPOINT_URL_S3: 'localhost:9000' })).rejects.toThrow(
    'AWS_ENDPOINT_URL_S3',
  )
})
