import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runNode } from '../support/node-process.ts'
import { inChunks, keysOf, STORES, sha256, textOf } from '../support/object-stores.ts'

const MB = 1024 * 1024

describe.each(STORES)('$name', ({ make, there }) => {
  const on = test.runIf(there)

  on('leaves nothing of a body that is not what was expected', async () => {
    await using t = await make()
    const bytes = randomBytes(12 * MB)
    const put = (options: Parameters<typeof t.store.put>[2]) => t.store.put('up', inChunks(bytes), options)
    await expect(put({ maxBytes: 11 * MB })).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' })
    await expect(put({ expect: { bytes: bytes.length - 1 } })).rejects.toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
    await expect(put({ expect: { bytes: bytes.length + 1 } })).rejects.toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
    await expect(put({ expect: { sha256: sha256(Buffer.from('other')) } })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    })
    expect(await keysOf(t.store.list(''))).toEqual([])
    expect(await t.unfinished()).toEqual([])

    const right = { maxBytes: bytes.length, expect: { bytes: bytes.length, sha256: sha256(bytes) } }
    expect(await put(right)).toMatchObject({ bytes: bytes.length })
    await expect(put({ maxBytes: 1 })).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' })
    expect(await t.store.head('up')).toEqual({ key: 'up', bytes: bytes.length })
  })

  on('leaves nothing of a body that breaks, stalls or is given up', async () => {
    await using t = await make()
    const breaks = async function* () {
      yield* inChunks(randomBytes(12 * MB))
      throw new Error('the client went away')
    }
    await expect(t.store.put('up', breaks())).rejects.toThrow('the client went away')

    const giveUp = new AbortController()
    const stalls = async function* () {
      yield* inChunks(randomBytes(12 * MB))
      giveUp.abort(new Error('given up'))
      await new Promise(() => {})
    }
    await expect(t.store.put('up', stalls(), { signal: giveUp.signal })).rejects.toThrow('given up')
    await expect(t.store.put('up', inChunks(randomBytes(9)), { signal: giveUp.signal })).rejects.toThrow('given up')
    await expect(t.store.get('up', { signal: giveUp.signal })).rejects.toThrow('given up')
    expect(await keysOf(t.store.list(''))).toEqual([])
    expect(await t.unfinished()).toEqual([])
  })

  on('takes large objects, at and around the size of a part', async () => {
    await using t = await make()
    for (const size of [5 * MB - 1, 5 * MB, 5 * MB + 1, 10 * MB, 17 * MB + 3]) {
      const bytes = randomBytes(size)
      const put = await t.store.put('large', inChunks(bytes, 100_000))
      expect(put).toEqual({ key: 'large', bytes: size, sha256: sha256(bytes) })
      expect(await t.store.put('in one', bytes)).toEqual({ ...put, key: 'in one' })
      const path = join(t.folder, 'large')
      expect(await t.store.getFile('large', path, { expect: { bytes: size, sha256: put.sha256 } })).toEqual(put)
      expect((await readFile(path)).equals(bytes)).toBe(true)
    }
    expect(await t.unfinished()).toEqual([])
  })

  on('takes local files and gives them back, whole and as expected or not at all', async () => {
    await using t = await make()
    const bytes = randomBytes(300_000)
    const [from, to] = [join(t.folder, 'from'), join(t.folder, 'deep', 'to')]
    await writeFile(from, bytes)
    const put = await t.store.putFile('file', from, { expect: { sha256: sha256(bytes) } })
    expect(put).toEqual({ key: 'file', bytes: 300_000, sha256: sha256(bytes) })
    await expect(t.store.putFile('other', from, { expect: { bytes: 1 } })).rejects.toMatchObject({
      code: 'UPLOAD_INCOMPLETE',
    })
    await expect(t.store.putFile('other', join(t.folder, 'none'))).rejects.toThrow('ENOENT')
    expect(await t.store.head('other')).toBeNull()

    const wrong = { expect: { sha256: sha256(Buffer.from('other')) } }
    await expect(t.store.getFile('file', to, wrong)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    await expect(t.store.getFile('file', to, { expect: { bytes: 1 } })).rejects.toMatchObject({
      code: 'UPLOAD_INCOMPLETE',
    })
    expect(await readdir(join(t.folder, 'deep'))).toEqual([])
    expect(await t.store.getFile('file', to)).toEqual(put)
    expect(await readdir(join(t.folder, 'deep'))).toEqual(['to'])
    expect((await readFile(to)).equals(bytes)).toBe(true)
  })

  on('lets a reader stop early or before it began', async () => {
    await using t = await make()
    await t.store.put('large', inChunks(randomBytes(8 * MB)))
    for (let i = 0; i < 30; i++) {
      const body = await t.store.get('large')
      if (i % 2 === 0) for await (const _ of body ?? []) break
      body?.destroy()
    }
    const giveUp = new AbortController()
    const body = await t.store.get('large', { signal: giveUp.signal })
    giveUp.abort()
    await expect(textOf(body)).rejects.toThrow(/abort/)
  })

  on('reads a body no faster than it is stored', async () => {
    await using t = await make()
    let given = 0
    const body = async function* () {
      for (; given < 40; given++) yield randomBytes(MB)
    }
    await expect(t.store.put('up', body(), { maxBytes: 3 * MB })).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' })
    expect(given).toBeLessThan(5)
  })

  on(
    'puts and gets 300 MB in flat memory',
    async () => {
      await using t = await make()
      const source = `
      import { setFlagsFromString } from 'node:v8'
      import { openObjectStore } from './src/platform/objects/index.ts'
      const [url, path] = JSON.parse(process.env.TEATREE_TEST_FLOOD)
      const store = await openObjectStore(url)
      async function* body(chunks) { for (let i = 0; i < chunks; i++) yield Buffer.alloc(65536, i) }
      await store.put('warm', body(200))
      await store.getFile('warm', path)
      const before = process.resourceUsage().maxRSS
      const steps = []
      for (const step of [() => store.put('flood', body(4800)), () => store.getFile('flood', path), () => store.putFile('flood', path)]) {
        await step()
        steps.push(Math.round((process.resourceUsage().maxRSS - before) / 1024))
      }
      await store.close()
      console.log(JSON.stringify(steps))`
      const env = { TEATREE_TEST_FLOOD: JSON.stringify([t.url, join(t.folder, 'flood')]) }
      const { code, stdout, stderr } = await runNode(source, env).ended
      expect(code, stderr).toBe(0)
      for (const grown of JSON.parse(stdout[0] ?? '')) expect(grown).toBeLessThan(128)
    },
    180_000,
  )
})
