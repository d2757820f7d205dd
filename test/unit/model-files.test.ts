import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ModelFiles } from '../../src/jobs/model-files.ts'

let dataDir: string
let files: ModelFiles
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'teatree-files-'))
  files = new ModelFiles(dataDir, 'tea')
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

const entries = (folder: string) => readdir(join(dataDir, 'models', 'tea', folder))

test('a manager that is long past its epoch removes nothing that a later one has made', async () => {
  await files.scratch(7)
  await files.archive(7)
  await files.make(4, 7, async () => {})
  await files.scratch(6)
  await files.archive(6)
  await files.removeScratch(6)
  await files.sweep(6, [])
  expect([await entries('scratch'), await entries('archive'), await entries('versions')]).toEqual([
    ['7'],
    ['6', '7'],
    ['4-7'],
  ])
})

test('what dead managers left is swept, and what is kept or not of this house stays', async () => {
  for (const [version, epoch] of [
    [1, 1],
    [2, 1],
    [3, 2],
  ] as const)
    await files.make(version, epoch, async () => {})
  await mkdir(join(dataDir, 'models', 'tea', 'versions', '3-1'))
  await mkdir(join(dataDir, 'models', 'tea', 'versions', 'lost+found'))
  await files.sweep(2, [{ version: 2, epoch: 1 }])
  expect((await entries('versions')).sort()).toEqual(['2-1', 'lost+found'])
})

test('a version that cannot be made whole leaves nothing behind, and none of its name', async () => {
  const failing = files.make(1, 1, async dir => {
    await writeFile(join(dir, 'model.duckdb'), 'half')
    throw new Error('the disk is full')
  })
  await expect(failing).rejects.toThrow('full')
  expect(await entries('versions')).toEqual([])
})

test('a version whose files have been let go is not taken for an empty one', () => {
  expect(files.snapshotFiles({ version: 0, epoch: 0 }, [])).toEqual({})
  expect(() => files.snapshotFiles({ version: 3, epoch: 1 }, [])).toThrow('version 3')
})
