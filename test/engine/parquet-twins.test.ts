import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ParquetTwins } from '../../src/engine/arrow/parquet-twins.ts'
import pl from '../../src/engine/arrow/polars.ts'
import { orchard } from './reader-model.ts'

const growers = orchard.tables.get('growers') ?? { columns: new Map() }

let dir: string
let folder: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-twins-'))
  folder = join(dir, 'twins')
})
afterEach(() => rm(dir, { recursive: true }))

const admit = <T>(work: () => Promise<T>) => work()
const owner = {}
const there = async () => (await readdir(folder).catch(() => [])).length

/** A file of growers, and asks for its twin; each has some thousand bytes. */
async function growersFile(name: string) {
  const rows = Array.from({ length: 500 }, (_, row) => `${name} ${row}`)
  const path = join(dir, `${name}.arrow`)
  const frame = pl.DataFrame({ growerId: rows, region: rows }).lazy()
  await frame
    .withColumn(pl.lit(null).cast(pl.Date).alias('since'))
    .sinkIpc(path, { compression: 'uncompressed' })
    .collect()
  const file = { name, rows: rows.length, bytes: (await stat(path)).size, sha256: name }
  return { path, of: (twins: ParquetTwins, hold = twins.hold()) => twins.of({ owner, hold }, growers, file, path) }
}

test('past a bound those that were read longest ago go first, and never one that is being read', async () => {
  const [a, b, c] = [await growersFile('a'), await growersFile('b'), await growersFile('c')]
  const { size } = await stat(await a.of(new ParquetTwins(join(dir, 'other'), admit)))
  // Two have room.
  const twins = new ParquetTwins(folder, admit, Math.floor(size * 2.5))
  const made: string[] = []
  {
    using hold = twins.hold()
    for (const each of [a, b, c]) made.push(await each.of(twins, hold))
    expect(await a.of(twins, hold)).toBe(made[0])
    // More than there is room for, and all that are past it are held.
    expect(await there()).toBe(3)
  }
  // b was asked for before a was once more.
  await expect.poll(there).toBe(2)
  using hold = twins.hold()
  expect([await a.of(twins, hold), await c.of(twins, hold)]).toEqual([made[0], made[2]])
  const anew = await b.of(twins, hold)
  expect(anew).not.toBe(made[1])
  expect((await stat(anew)).size).toBeGreaterThan(0)
  hold[Symbol.dispose]()
  await expect.poll(there).toBe(2)
  await twins.letGo(owner)
  expect(await there()).toBe(0)
})

test('a folder that cannot be made once is tried again', async () => {
  const a = await growersFile('a')
  await writeFile(folder, 'in the way')
  const twins = new ParquetTwins(folder, admit)
  await expect(a.of(twins)).rejects.toMatchObject({ code: 'EEXIST' })
  await rm(folder)
  expect((await stat(await a.of(twins))).size).toBeGreaterThan(0)
})

test('the error of one hides no other: each says its own, and what was made goes when it is let go of', async () => {
  const [a, b, c] = [await growersFile('a'), await growersFile('b'), await growersFile('c')]
  await rm(a.path)
  await rm(c.path)
  const twins = new ParquetTwins(folder, admit)
  const [first, second, third] = await Promise.allSettled([a.of(twins), b.of(twins), c.of(twins)])
  const reasons = [first, third].map(each => (each?.status === 'rejected' ? String(each.reason) : ''))
  expect(reasons).toEqual([expect.stringContaining('a.arrow'), expect.stringContaining('c.arrow')])
  expect(second?.status).toBe('fulfilled')
  expect(await there()).toBe(1)
  await twins.letGo(owner)
  expect(await there()).toBe(0)
  await mkdir(folder, { recursive: true })
  await twins.close()
  expect((await readdir(dir)).sort()).toEqual(['b.arrow'])
})

test('the folder of a process that lives is not taken for one that a dead process has left, however long nothing is written there', async () => {
  const twins = new ParquetTwins(folder, admit, 2 ** 30, 20)
  const a = await growersFile('a')
  const made = await a.of(twins)
  const since = Date.now() - 60_000
  await utimes(folder, 0, 0)
  await expect.poll(async () => (await stat(folder)).mtimeMs).toBeGreaterThan(since)
  expect(await a.of(twins)).toBe(made)
  await twins.close()
  expect(await there()).toBe(0)
})
