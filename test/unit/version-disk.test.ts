import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import { VersionDisk } from '../../src/jobs/version-disk.ts'

const KB = 1024

async function modelFiles() {
  const dataDir = await mkdtemp(join(tmpdir(), 'teatree-disk-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const files = new ModelFiles(dataDir, 'model')
  /** A version with files of its own, by size, and files that it shares with an older one. */
  const version = async (number: number, own: Record<string, number>, shared?: [version: number, name: string]) => {
    const dir = files.versionDir(number, 1)
    await mkdir(dir, { recursive: true })
    for (const [name, bytes] of Object.entries(own)) await writeFile(join(dir, name), Buffer.alloc(bytes, number))
    if (shared) await link(join(files.versionDir(shared[0], 1), shared[1]), join(dir, shared[1]))
  }
  return { files, version }
}

/** All that are kept: those up to `paged` for paging alone. */
const kept = (newest: number, paged: number) =>
  Array.from({ length: newest }, (_, index) => ({ version: index + 1, epoch: 1, pagedOnly: index + 1 <= paged }))

test('the oldest of those kept for paging have to go until the others fit', async () => {
  const { files, version } = await modelFiles()
  for (const number of [1, 2, 3, 4, 5, 6]) await version(number, { 'model.duckdb': 64 * KB })
  const disk = new VersionDisk()
  expect(await disk.past(files, 'model', kept(6, 5), 5)).toEqual([])
  expect(await disk.past(files, 'model', kept(6, 5), 2)).toEqual([1, 2, 3])
  expect(await disk.past(files, 'model', kept(6, 5), 0)).toEqual([1, 2, 3, 4, 5])
  expect(await disk.past(files, 'model', kept(6, 0), 0)).toEqual([])
})

test('a file that several versions link to counts once, and not at all where a version has it that is kept anyway', async () => {
  const { files, version } = await modelFiles()
  await version(1, { 'base.duckdb': 256 * KB, 'base.duckdb.wal': 16 * KB })
  await version(2, { 'base.duckdb.wal': 16 * KB }, [1, 'base.duckdb'])
  await version(3, { 'base.duckdb': 256 * KB })
  await version(4, { 'base.duckdb.wal': 16 * KB }, [3, 'base.duckdb'])
  await version(5, { 'base.duckdb.wal': 16 * KB }, [3, 'base.duckdb'])
  const disk = new VersionDisk()
  // The first base once, and three WALs: 304 KB beside a newest of 272.
  expect(await disk.past(files, 'model', kept(5, 4), 2)).toEqual([])
  // Without version 1 its base is still there, for version 2.
  expect(await disk.past(files, 'model', kept(5, 4), 1)).toEqual([1, 2])
})

test('a model whose newest version cannot be measured loses nothing by it', async () => {
  const { files, version } = await modelFiles()
  await version(1, { 'model.duckdb': 64 * KB })
  expect(await new VersionDisk().past(files, 'model', kept(2, 1), 0)).toEqual([])
})

test('what was made of a version for who fetches it counts with it', async () => {
  const { files, version } = await modelFiles()
  for (const number of [1, 2, 3]) await version(number, { 'model.duckdb': 64 * KB })
  const disk = new VersionDisk()
  expect(await disk.past(files, 'model', kept(3, 2), 2)).toEqual([])
  await mkdir(files.cleanDir(1, 1), { recursive: true })
  await writeFile(join(files.cleanDir(1, 1), 'model.duckdb'), Buffer.alloc(64 * KB, 1))
  expect(await disk.past(files, 'model', kept(3, 2), 2)).toEqual([1])
})
