import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { ownMemory } from '../../src/engine/duckdb/queries/process-memory.ts'

const MIB = 1 << 20

test('what a process has mapped of files is not counted, and what it has to itself is', async () => {
  const status = await readFile('/proc/self/status', 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024
  // Node itself is such a file, and DuckDB.
  expect(bytes('RssFile')).toBeGreaterThan(30 * MIB)
  const before = await ownMemory(process.pid)
  expect(before).toBeGreaterThan(0)
  expect(before).toBeLessThan(bytes('VmRSS') - bytes('RssFile') / 2)
  const taken = Buffer.alloc(400 * MIB, 'x')
  expect((await ownMemory(process.pid)) - before).toBeGreaterThan(200 * MIB)
  expect(taken.length).toBe(400 * MIB)
})

test('of a process that is gone, nothing', async () => {
  expect(await ownMemory(2 ** 22 + 1)).toBe(0)
})
