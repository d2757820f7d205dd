import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { QueryProcesses } from '../../src/engine/duckdb/queries/query-processes.ts'
import { comesTrue } from '../support/comes-true.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('what a process for queries was compiled to is kept for the next, though it never ends by itself', async () => {
  await using stack = new AsyncDisposableStack()
  const kept = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-compiled-')), path => rm(path, { recursive: true }))
  stack.defer(() => void vi.unstubAllEnvs())
  vi.stubEnv('NODE_COMPILE_CACHE', kept)
  const processes = stack.adopt(new QueryProcesses({ ready: 1 }), open => open.close())
  expect(await comesTrue(async () => (await readdir(kept, { recursive: true })).length > 100)).toBe(true)
  await processes.close()
})
