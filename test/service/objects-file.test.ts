import { spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, readdir, readlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { isTempName, openObjectStore } from '../../src/platform/objects/index.ts'
import { runNode } from '../support/node-process.ts'
import { fileTestStore, keysOf, textOf } from '../support/object-stores.ts'

const MB = 1024 * 1024

async function* zeros(megabytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < megabytes; i++) yield Buffer.alloc(MB)
}

test('an object is not seen before it is whole, also where its writer was killed', async () => {
  await using t = await fileTestStore()
  await t.store.put('a/object', Buffer.from('before'))
  const source = `
    import { openObjectStore } from './src/platform/objects/index.ts'
    async function* body() {
      for (let i = 0; i < 50; i++) yield Buffer.alloc(65536)
      console.log('half way')
      await new Promise(resolve => setInterval(() => {}, 1000))
    }
    await (await openObjectStore(${JSON.stringify(t.url)})).put('a/object', body())`
  const writer = runNode(source)
  expect((await writer.lines.next()).value).toBe('half way')
  writer.child.kill('SIGKILL')
  await writer.ended
  expect(await textOf(await t.store.get('a/object'))).toBe('before')
  expect(await t.unfinished()).toHaveLength(1)
  expect(await keysOf(t.store.list(''))).toEqual(['a/object'])
})

test('what was left unfinished is swept at open when it is older than a day', async () => {
  await using t = await fileTestStore()
  const folder = join(t.folder, 'store', 'models', 'north')
  await mkdir(folder, { recursive: true })
  const hours = (n: number) => new Date(Date.now() - n * 3_600_000)
  const [old, young, object] = [`.${randomUUID()}.tmp`, `.${randomUUID()}.tmp`, 'old.tmp']
  for (const [name, time] of [
    [old, hours(25)],
    [young, hours(23)],
    [object, hours(50)],
  ] as const) {
    await writeFile(join(folder, name), 'x')
    await utimes(join(folder, name), time, time)
  }
  expect(isTempName(old)).toBe(true)
  const store = await openObjectStore(t.url)
  await expect.poll(() => readdir(folder)).not.toContain(old)
  expect(await readdir(folder)).toEqual([young, object])
  await store.close()
})

test('a key cannot be a file and a folder', async () => {
  await using t = await fileTestStore()
  await t.store.put('a/b', Buffer.from('x'))
  await expect(t.store.put('a', Buffer.from('x'))).rejects.toThrow('is a folder, or below a file')
  await expect(t.store.put('a/b/c', Buffer.from('x'))).rejects.toThrow('is a folder, or below a file')
  await t.store.delete('a')
  expect(await t.store.head('a/b')).toEqual({ key: 'a/b', bytes: 1 })
  expect(await t.unfinished()).toEqual([])
})

test('no file stays open behind a reader that stopped', async () => {
  await using t = await fileTestStore()
  await t.store.put('large', zeros(3))
  const open = async () => {
    const fds = await readdir('/proc/self/fd')
    const links = await Promise.all(fds.map(fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
    return links.filter(link => link.startsWith(t.folder))
  }
  for (let i = 0; i < 20; i++) {
    const body = await t.store.get('large', i % 2 === 0 ? {} : { start: 5, end: 5 })
    if (i % 4 === 0) for await (const _ of body ?? []) break
    body?.destroy()
  }
  await expect.poll(open).toEqual([])
})

test('a place that cannot be written to is UNAVAILABLE, without its path', async () => {
  await using t = await fileTestStore()
  await writeFile(join(t.folder, 'file'), '')
  const store = await openObjectStore(pathToFileURL(join(t.folder, 'file', 'store')).href)
  const error = await store.check().catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'UNAVAILABLE', message: expect.not.stringContaining(t.folder) })
  expect(error).toHaveProperty('cause.code', 'ENOTDIR')
  await store.close()
})

test('a full disk is UNAVAILABLE, leaves nothing, and is over when there is room', async context => {
  await using t = await fileTestStore()
  const small = join(t.folder, 'small')
  await mkdir(small)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small])
  if (mounted.status !== 0) context.skip('no right to mount a small disk here')
  try {
    const store = await openObjectStore(pathToFileURL(small).href)
    await store.put('there', randomBytes(MB))
    const full = { code: 'UNAVAILABLE', message: expect.stringContaining('full'), cause: { code: 'ENOSPC' } }
    await expect(store.put('more', zeros(3))).rejects.toMatchObject(full)
    expect(await readdir(small)).toEqual(['there'])
    await t.store.put('from elsewhere', zeros(3))
    await expect(t.store.getFile('from elsewhere', join(small, 'more'))).rejects.toMatchObject(full)
    expect(await readdir(small)).toEqual(['there'])
    await store.delete('there')
    expect(await store.put('more', zeros(1))).toMatchObject({ bytes: MB })
    await store.close()
  } finally {
    spawnSync('umount', [small])
  }
})

test('objects are files that other tools find where the URI says', async () => {
  await using t = await fileTestStore()
  await t.store.put('models/a b/é#1?.csv', Buffer.from('x'))
  const uri = t.store.uri('models/a b/é#1?.csv')
  expect(uri).toBe(`${t.url}/models/a%20b/%C3%A9%231%3F.csv`)
  expect(await t.store.presign('models/a b/é#1?.csv', 60)).toBeNull()
})
