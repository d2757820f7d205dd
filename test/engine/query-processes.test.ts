import { open, readdir, readFile, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ownMemory } from '../../src/engine/duckdb/queries/process-memory.ts'
import { QueryProcess } from '../../src/engine/duckdb/queries/query-process.ts'
import { SnapshotDamaged } from '../../src/engine/snapshot-damaged.ts'
import { AskedQueries, BOUNDS, codeOf, MEMORY, sql } from './asked-queries.ts'
import { duckdb } from './engines.ts'
import { orchard } from './reader-model.ts'

/** For what comes about however busy the machine is. */
const LATER = { timeout: 30_000 }

// The processes are one engine's as the other's: what becomes of them is tried with one.
let asked: AskedQueries
beforeAll(async () => {
  vi.stubEnv('ORCHARD_SECRET', 'quince')
  asked = await AskedQueries.open(duckdb)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await asked[Symbol.asyncDispose]()
})

/** Ids of the processes that run queries, or are ready to. */
async function processes(): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('query-program') && command.includes(asked.folder.path)) found.push(Number(pid))
  }
  return found
}

test('a process has no secrets, and no more than its folder', async () => {
  await asked.ask('SELECT 1')
  const pids = await processes()
  expect(pids.length).toBeGreaterThan(0)
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
    expect(environment).not.toContain('quince')
    expect(environment.split('\0').map(entry => entry.split('=')[0])).not.toContain('HOME')
    expect(await readFile(`/proc/${pid}/limits`, 'utf8')).not.toMatch(/^Max data size +unlimited/m)
  }
})

test('what is past a bound is ended by its own code, and the next finds a process', async () => {
  const forever = 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1'
  expect(await codeOf(asked.ask(forever, [], { seconds: 1 }))).toBe('QUERY_TIMEOUT')
  expect(await codeOf(asked.ask('SELECT i, count(*) FROM range(10000000000) t(i) GROUP BY i'))).toBe(
    'QUERY_TOO_EXPENSIVE',
  )
  // DuckDB's own limit knows nothing of this one: the system's does.
  expect(await codeOf(asked.ask('SELECT list_sum(range(2000000000))'))).toBe('QUERY_TOO_EXPENSIVE')
  expect(await codeOf(asked.ask('SELECT * FROM range(1001)'))).toBe('RESULT_TOO_LARGE')
  expect(
    await codeOf(asked.ask('SELECT md5(i::VARCHAR || j) FROM range(1000) t(i), range(1) s(j)', [], { bytes: 10_000 })),
  ).toBe('RESULT_TOO_LARGE')
  // Next to nothing in the file.
  expect(await codeOf(asked.ask("SELECT repeat('x', 10000) FROM range(1000)"))).toBe('RESULT_TOO_LARGE')
  expect(await asked.valuesOf('SELECT count(*) FROM growers')).toEqual([['3']])
})

test('what a large query leaves in memory does not count against the next', async () => {
  const large = 'SELECT count(*) FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(1500000) t(i))'
  expect(await asked.valuesOf(large)).toEqual([['1500000']])
  await vi.waitFor(async () => {
    for (const pid of await processes()) {
      expect(await ownMemory(Number(pid))).toBeLessThan((48 << 20) + MEMORY / 2)
    }
  }, LATER)
})

test('a version whose file is damaged is told from a fault, and its process is asked nothing more', async () => {
  const files = await asked.folder.database(orchard, db =>
    db.run(`INSERT INTO growers SELECT md5(i::VARCHAR), md5(hash(i)::VARCHAR), NULL FROM range(100000) t(i)`),
  )
  const damaged = await asked.readers.open({ kind: orchard, files })
  await expect(damaged.run(sql('SELECT count(*) FROM growers'), asked.target(), BOUNDS)).resolves.toBeDefined()
  const before = await processes()
  const [path = ''] = Object.values(files)
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  for (let at = 12_288 + 1000; at < size - 262_144; at += 262_144) await file.write('damaged', at)
  const reading = damaged.run(sql('SELECT max(region || growerId) FROM growers'), asked.target(), BOUNDS)
  await expect(reading).rejects.toBeInstanceOf(SnapshotDamaged)
  await vi.waitFor(async () => expect(await processes()).not.toEqual(expect.arrayContaining(before)), LATER)
  await damaged.close()
})

test('nobody waits any more: what is under way ends, and others do not', async () => {
  const leaving = new AbortController()
  const forever = sql('SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1')
  const [left, stays] = [asked.target(), asked.target()]
  const running = asked.reader.run(forever, left, BOUNDS, leaving.signal).catch(error => error)
  const other = asked.reader.run(sql('SELECT sum(hash(i) % 100) FROM range(20000000) t(i)'), stays, BOUNDS)
  const before = await vi.waitFor(async () => {
    const found = await processes()
    expect(found.length).toBeGreaterThanOrEqual(2)
    return found
  }, LATER)
  const reason = new Error('gone')
  leaving.abort(reason)
  expect(await running).toBe(reason)
  // It is dead when that is told: the version may go.
  const after = await processes()
  expect(before.filter(pid => !after.includes(pid))).toHaveLength(1)
  expect((await other).rows).toBe(1)
  await expect(stat(left)).rejects.toThrow('ENOENT')
})

test("the folder of a process that waits for its first query is never old, and so is not taken for a dead one's", async () => {
  await asked.valuesOf('SELECT count(*) FROM growers')
  const queries = join(asked.folder.path, 'queries')
  const folders = (await readdir(queries)).map(name => join(queries, name))
  expect(folders.length).toBeGreaterThan(1)
  const since = Date.now() - 60_000
  for (const folder of folders) await utimes(folder, 0, 0)
  const youngest = async () => Math.min(...(await Promise.all(folders.map(async path => (await stat(path)).mtimeMs))))
  await expect.poll(youngest).toBeGreaterThan(since)
})

test('a process that is killed from outside takes its own query with it alone', async () => {
  const forever = sql('SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1')
  const ticksOf = async (id: number) => Number((await readFile(`/proc/${id}/stat`, 'utf8')).split(' ')[13])
  const before = new Map<number, number>()
  for (const id of await processes()) before.set(id, await ticksOf(id))
  const running = codeOf(asked.reader.run(forever, asked.target(), BOUNDS))
  // The one that works: another may have worked before.
  const pid = await vi.waitFor(async () => {
    for (const id of await processes()) if ((await ticksOf(id)) > 100 + (before.get(id) ?? 0)) return id
    throw new Error('none works yet')
  }, LATER)
  const other = asked.valuesOf('SELECT count(*) FROM growers')
  process.kill(pid, 'SIGKILL')
  expect(await running).toBe('QUERY_TOO_EXPENSIVE')
  expect(await other).toEqual([['3']])
})

test('a process that is killed when its result is done, and not yet taken, says why there is none', async () => {
  const own = join(asked.folder.path, 'own')
  const one = new QueryProcess(own, { memoryBytes: MEMORY, threads: 1, kindsDir: undefined })
  const snapshot = { kind: orchard.name, shape: orchard.shape, tables: [], files: {} }
  const job = { snapshot, reads: [], work: sql('SELECT 1'), checkOnly: false, rows: 1, bytes: 1 << 20 }
  expect(await one.run(job, 60, undefined)).toMatchObject({ rows: 1 })
  process.kill(one.pid ?? 0, 'SIGKILL')
  await vi.waitFor(() => expect(stat(own)).rejects.toThrow('ENOENT'), LATER)
  expect(await codeOf(one.take(asked.target()))).toBe('QUERY_TOO_EXPENSIVE')
  await one.close()
})
