import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readdir, readFile, rm, rmdir, stat, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pull } from '../../src/commands/pull.ts'
import { ALL } from '../../src/engine/plan.ts'
import { OfflineSnapshots } from '../../src/jobs/offline/offline-snapshots.ts'
import { PulledFolder } from '../../src/jobs/offline/pulled-folder.ts'
import { uploadSales } from '../support/bulk-sales.ts'
import { quiet } from '../support/control.ts'
import { type Answer, openServer, send, type TestServer } from '../support/http-server.ts'
import { environment, PROGRAM } from '../support/manager-process.ts'
import { sale } from '../support/sales-model.ts'
import { type Passing, startTamperingServer } from '../support/tampering-server.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

/** Each is a file of its own: those behind it are together not as large. */
const ROWS = [30_000, 12_000, 5_000]
const LARGE = 'sales.1.arrow'

let server: TestServer
let model: string
let to: string
beforeAll(async () => {
  server = await openServer({ engine: 'ARROW' })
  model = await server.salesModel()
  for (const [from, rows] of ROWS.entries()) {
    const upload = { id: await uploadSales(server.uploads, rows, `${from}-`) }
    const intent = await server.run(model, 'importSales', { source: { upload }, mode: 'APPEND' })
    expect(intent.error).toBeNull()
  }
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  to = await mkdtemp(join(tmpdir(), 'teatree-pull-'))
})
afterEach(() => rm(to, { recursive: true, force: true }))

const { signal } = new AbortController()
const from = (spec: string, url = server.url, tries = 20) =>
  pull(spec, { url: `${url}/graphql`, to, patience: { firstMs: 1, tries }, signal })
const append = async (...ids: string[]) => {
  const intent = await server.run(model, 'appendSales', { rows: ids.map(orderId => sale({ orderId })) })
  return intent.version ?? 0
}
const there = async () => (await readdir(join(to, model)).catch(() => [])).sort()
const pathOf = (version: number, name = '') => join(to, model, String(version), name)
const at = (version: number, name: string) => send(`${server.url}/content/${model}/${version}/${name}`)
const named = (version: number) => [String(version), `${version}.json`]

/** Of what is on its way. */
async function sizeOfParts(): Promise<number> {
  let bytes = 0
  for (const name of await there()) {
    if (!name.endsWith('.parts')) continue
    const dir = join(to, model, name)
    for (const file of await readdir(dir)) bytes += (await stat(join(dir, file))).size
  }
  return bytes
}

/** What is there of a version is what the server has, byte by byte. */
async function expectWhole(version: number): Promise<void> {
  const manifest = (await at(version, 'manifest.json')).json()
  const files = Object.values<Answer>(manifest.manifest.tables).flat()
  const names = ['manifest.json', ...files.map(({ name }) => name)]
  expect((await readdir(pathOf(version))).sort()).toEqual(names.sort())
  for (const name of names)
    expect([name, (await readFile(pathOf(version, name))).equals((await at(version, name)).body)]).toEqual([name, true])
}

async function salesIn(version: number): Promise<number> {
  const snapshots = new OfflineSnapshots({ ...server, folder: new PulledFolder(to), log: quiet })
  try {
    const open = await snapshots.acquire(model, { version }, 0)
    return Number(await open.reader.count('sales', ALL))
  } finally {
    await snapshots.close()
  }
}

describe('pull of a version that is several files', () => {
  test('brings those that are served, which open offline', async () => {
    const { version, bytes, fetched } = await from(model)
    expect(await there()).toEqual(named(version))
    await expectWhole(version)
    expect(fetched).toBe(bytes)
    expect(await salesIn(version)).toBeGreaterThanOrEqual(47_000)
    const [pulled] = await new PulledFolder(to).versions(model)
    expect(pulled).toMatchObject({ version, model: { id: model, engine: 'ARROW' }, byNumber: false })
  })

  test('again brings the files that are new alone, and takes the place of the version before', async () => {
    const first = await from(model)
    const version = await append(...Array.from({ length: 10 }, (_, order) => `again-${order}`))
    const again = await from(model)
    expect([again.version, first.version < version]).toEqual([version, true])
    expect(again.bytes).toBeGreaterThan(5_000_000)
    expect(again.fetched).toBeLessThan(50_000)
    await expectWhole(version)
    // who reads the version before has its files until the next pull, which costs no bytes
    expect(await there()).toEqual([String(first.version), `${first.version}.replaced`, ...named(version)].sort())
    expect((await from(model)).fetched).toBeLessThan(50_000)
    expect(await there()).toEqual(named(version))
  })

  test('by number keeps what was asked for so, and files that versions have in common are there once', async () => {
    const before = (await server.models.get(model))?.version ?? 0
    await from(`${model}@${before}`)
    const next = await append('by number')
    await from(model)
    expect(await there()).toEqual([...named(before), ...named(next)].sort())
    const [older, newer] = [await stat(pathOf(before, LARGE)), await stat(pathOf(next, LARGE))]
    expect([older.ino, older.size > 2_500_000]).toEqual([newer.ino, true])
    expect(await salesIn(next)).toBe((await salesIn(before)) + 1)
  })

  test('goes on where it was cut, whatever the byte', async () => {
    let cuts = 0
    await using proxy = await startTcpProxy(server.url, (side, _, { down }) => {
      if (side === 'up' || down < Math.random() * 500_000) return 'pass'
      cuts++
      return 'cut'
    })
    const { version, bytes, fetched } = await from(model, proxy.url)
    expect(cuts).toBeGreaterThan(3)
    await expectWhole(version)
    expect(fetched).toBeLessThan(bytes * 1.5)
  })

  test('goes on from what a killed process has left, also of another version', async () => {
    let passed = 0
    await using proxy = await startTcpProxy(server.url, (side, chunk) => {
      passed += side === 'down' ? chunk.length : 0
      return passed < 4_500_000 ? 'pass' : 'swallow'
    })
    const child = spawn(process.execPath, [PROGRAM, 'pull', model, '--to', to, '--server', `${proxy.url}/graphql`], {
      env: environment({}),
      stdio: 'ignore',
    })
    // All that has passed comes to be there, however long it takes; and the rest never does.
    await expect.poll(sizeOfParts, { timeout: 30_000 }).toBeGreaterThan(3_000_000)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect((await there()).filter(name => name.endsWith('.parts'))).toHaveLength(1)
    await append('while it lay there')
    const { version, bytes, fetched } = await from(model)
    expect(fetched).toBeLessThan(bytes - 3_000_000)
    await expectWhole(version)
    expect(await there()).toEqual(named(version))
  })

  test('fetches nothing again where it ended after the last byte, before the version was there', async () => {
    const { version } = (await server.models.get(model)) ?? { version: 0 }
    // The last that it writes has no place, as if it had been killed before.
    const inTheWay = join(to, model, `${version}.json.${process.pid}.tmp`)
    await mkdir(inTheWay, { recursive: true })
    await expect(from(model)).rejects.toThrow('cannot be written to')
    expect(await there()).not.toContain(`${version}.json`)
    await rmdir(inTheWay)
    expect((await from(model)).fetched).toBeLessThan(50_000)
    await expectWhole(version)
    expect(await there()).toEqual(named(version))
  })

  test('repairs a file that somebody has written to, and writes to none that is there', async () => {
    const { version, bytes } = await from(model)
    await using held = await open(pathOf(version, LARGE), 'r+')
    const before = await held.stat()
    await held.write(Buffer.from('spoilt'), 0, 6, 1_000_000)
    await utimes(pathOf(version, LARGE), before.atime, before.mtime)
    const { fetched } = await from(model)
    expect(fetched).toBeGreaterThan(1_000_000)
    expect(fetched).toBeLessThan(bytes)
    await expectWhole(version)
    const spoilt = await held.read(Buffer.alloc(6), 0, 6, 1_000_000)
    expect(spoilt.buffer.toString()).toBe('spoilt')
  })

  test('a version that was replaced is read to its end by who has it open', async () => {
    const { version } = await from(model)
    const snapshots = new OfflineSnapshots({ ...server, folder: new PulledFolder(to), log: quiet })
    const held = await snapshots.acquire(model, null, 0)
    await append('replaces it')
    await from(model)
    const after = await snapshots.acquire(model, null, 0)
    const count = async ({ reader }: typeof held) => Number(await reader.count('sales', ALL))
    expect([held.version.version, await count(after)]).toEqual([version, 1 + (await count(held))])
    await expect(snapshots.find(model, { version }, 0)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
    for (const open of [held, after]) open.release()
    await snapshots.close()
  })

  const isFile = ({ path }: Passing) => /\.arrow/.test(path)
  const manifest = (change: (value: Answer) => void) => (passing: Passing) => {
    if (!passing.path.endsWith('manifest.json')) return
    const value = JSON.parse(passing.body.toString())
    change(value.manifest)
    passing.body = Buffer.from(JSON.stringify(value))
  }
  const first = ({ tables }: Answer) => tables.sales[0]
  const REFUSED: [what: string, tamper: (passing: Passing) => void, message: RegExp][] = [
    ['a name that is a path', manifest(value => Object.assign(first(value), { name: '../../up.1.arrow' })), /manifest/],
    ['a size beyond all sizes', manifest(value => Object.assign(first(value), { bytes: 2 ** 50 })), /manifest/],
    ['a file twice', manifest(({ tables }) => tables.sales.push(tables.sales[0])), /manifest/],
    ['the manifest as a file', manifest(value => Object.assign(first(value), { name: 'manifest.json' })), /manifest/],
    ['another manifest', manifest(value => Object.assign(first(value), { rows: 1 })), /moves on faster/],
    [
      'another engine',
      ({ path, body }) => void (path.includes('graphql') && body.write('DUCK_', body.indexOf('"ARROW"') + 1)),
      /model.engine/,
    ],
    [
      'a file that is not what it should be',
      passing => void (isFile(passing) && passing.body.write('spoilt', passing.body.length / 2)),
      /broke off too often/,
    ],
    [
      'faults alone',
      passing => void (isFile(passing) && Object.assign(passing, { status: 500 })),
      /broke off too often/,
    ],
    [
      'the whole where a part was asked for',
      passing => void (isFile(passing) && Object.assign(passing, { status: 200, body: Buffer.alloc(0) })),
      /moves on faster/,
    ],
  ]
  test.each(REFUSED)('%s is refused, and no version is there afterwards', async (_, tamper, message) => {
    await using tampering = await startTamperingServer(server.url, tamper)
    const error = await from(model, tampering.url, 2).catch(error => error)
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) })
    expect((await there()).filter(name => !name.endsWith('.parts'))).toEqual([])
  })

  test('a file that was spoilt on its way is asked for again', async () => {
    let spoilt = 0
    await using tampering = await startTamperingServer(server.url, passing => {
      if (isFile(passing) && spoilt++ < 2) passing.body.write('spoilt', 1000)
    })
    const { version } = await from(model, tampering.url)
    await expectWhole(version)
  })
})

describe('the files of a version', () => {
  test('are answered in ranges, by their checksums, and say what is right where there is none', async () => {
    const version = (await server.models.get(model))?.version ?? 0
    const blocks = await send(`${server.url}/content/${model}/latest/blocks`)
    expect([blocks.status, blocks.headers.location]).toEqual([302, `../${version}/blocks`])
    expect((await at(version, 'blocks')).headers.location).toBe('manifest.json')
    const name = LARGE
    const whole = await at(version, name)
    const part = await send(`${server.url}/content/${model}/${version}/${name}`, {
      headers: { range: 'bytes=100-199', 'if-range': `${whole.headers.etag}` },
    })
    expect([part.status, part.body.equals(whole.body.subarray(100, 200))]).toEqual([206, true])
    expect(whole.headers['cache-control']).toContain('immutable')
    const none = await at(version, 'model.duckdb')
    expect([none.status, none.json().error.code]).toEqual([404, 'NOT_FOUND'])
    expect(none.json().error.message).toContain('manifest.json')
    expect((await at(version, 'sales.999.arrow')).status).toBe(404)
  })

  test('that are not what was published are not handed out, and made again', async () => {
    const lost = await server.salesModel(['appendSales', { rows: [sale({ orderId: 'A' })] }])
    const [found] = await server.db.query<{ uri: string; name: string }>(
      `SELECT uri, name FROM content_index WHERE model = $1 AND version = 1 AND name LIKE 'sales.%'`,
      [lost],
    )
    await using file = await open(new URL(found?.uri ?? ''), 'r+')
    await file.write(Buffer.from([0xff, 0xfe]), 0, 2, 500)
    const answer = await send(`${server.url}/content/${lost}/1/${found?.name}`)
    expect([answer.status, answer.json().error.code]).toEqual([503, 'UNAVAILABLE'])
    await expect
      .poll(async () => (await send(`${server.url}/content/${lost}/1/manifest.json`)).status, { timeout: 30_000 })
      .toBe(200)
  })
})
