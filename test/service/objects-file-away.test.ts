import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openObjectStore } from '../../src/platform/objects/index.ts'

test('an object is not said to be gone where something else is in the place of the store', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-store-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const store = await openObjectStore(pathToFileURL(join(dir, 'store')).href)
  onTestFinished(() => store.close())
  expect(await store.get('a')).toBeNull()
  await writeFile(join(dir, 'store'), '')
  await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(store.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})
