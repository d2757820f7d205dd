import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pull } from '../../src/commands/pull.ts'
import { PulledFolder } from '../../src/jobs/offline/pulled-folder.ts'
import { uploadSales } from '../support/bulk-sales.ts'
import { openServer, send, type TestServer } from '../support/http-server.ts'
import { environment, PROGRAM } from '../support/manager-process.ts'
import { sale } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const ROWS = 400_000

let server: TestServer
let model: string
let to: string
beforeAll(async () => {
  server = await openServer()
  model = await server.salesModel()
  const intent = await server.run(model, 'importSales', {
    source: { upload: { id: await uploadSales(server.uploads, ROWS) } },
    mode: 'APPEND',
  })
  expect(intent.error).toBeNull()
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  to = await mkdtemp(join(tmpdir(), 'teatree-pull-'))
})
afterEach(() => rm(to, { recursive: true, force: true }))

const patience = { firstMs: 1, tries: 20 }
const { signal } = new AbortController()
const from = (spec: string, url = server.url) => pull(spec, { url: `${url}/graphql`, to, patience, signal })
const append = async (...ids: string[]) => {
  const intent = await server.run(model, 'appendSales', { rows: ids.map(orderId => sale({ orderId })) })
  return intent.version ?? 0
}
const files = async () => (await readdir(join(to, model))).sort()
const fileOf = (version: number) => join(to, model, `${version}.duckdb`)
const served = async (version: number) => (await send(`${server.url}/content/${model}/${version}/model.duckdb`)).body
/** Of the file on its way: what has been written of it, wherever. */
async function sizeOfPart(): Promise<number> {
  const part = (await files().catch(() => [])).find(name => name.endsWith('.part'))
  return part === undefined ? 0 : 512 * (await stat(join(to, model, part))).blocks
}
const named = (version: number) => [`${version}.blocks.json`, `${version}.duckdb`, `${version}.json`]

async function salesIn(path: string): Promise<number> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    const rows = await connection.runAndReadAll('SELECT count(*)::INTEGER FROM sales')
    return Number(rows.getRows()[0]?.[0])
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

describe('pull', () => {
  test('brings the newest version as the file that is served, which opens in any DuckDB', async () => {
    const { version, bytes, fetched } = await from(model)
    expect(await files()).toEqual(named(version))
    const whole = await served(version)
    expect((await readFile(fileOf(version))).equals(whole)).toBe(true)
    expect(bytes).toBe(whole.length)
    expect(fetched).toBeGreaterThan(whole.length)
    expect(await salesIn(fileOf(version))).toBeGreaterThanOrEqual(ROWS)
    const [there] = await new PulledFolder(to).versions(model)
    expect(there).toMatchObject({ version, model: { id: model, kind: 'sales' }, byNumber: false })
  })

  test('again brings the blocks that changed alone, and takes the place of the version before', async () => {
    const first = await from(model)
    const version = await append(...Array.from({ length: 10 }, (_, order) => `again-${order}`))
    const again = await from(model)
    expect(again.version).toBe(version)
    expect(again.bytes).toBeGreaterThan(10_000_000)
    expect(again.fetched).toBeLessThan(3_000_000)
    expect((await readFile(fileOf(version))).equals(await served(version))).toBe(true)
    expect(await files()).toEqual(named(version))
    expect(first.version).toBeLessThan(version)
    // and of the same version nothing but what it consists of is asked
    expect((await from(model)).fetched).toBeLessThan(100_000)
  })

  test('by number keeps what was asked for so', async () => {
    const before = (await server.models.get(model))?.version ?? 0
    await from(`${model}@${before}`)
    const version = await append('by number')
    await from(model)
    const next = await append('by number, next')
    const { fetched } = await from(model)
    expect(fetched).toBeLessThan(3_000_000)
    expect(await files()).toEqual([...named(before), ...named(next)].sort())
    expect([before, version, next]).toEqual([...new Set([before, version, next])])
    expect(await salesIn(fileOf(next))).toBe((await salesIn(fileOf(before))) + 2)
  })

  test('goes on where it was cut, whatever the byte', async () => {
    let cuts = 0
    await using proxy = await startTcpProxy(server.url, (side, _, { down }) => {
      if (side === 'up' || down < Math.random() * 3_000_000) return 'pass'
      cuts++
      return 'cut'
    })
    const { version, bytes, fetched } = await from(model, proxy.url)
    expect(cuts).toBeGreaterThan(3)
    expect((await readFile(fileOf(version))).equals(await served(version))).toBe(true)
    // nothing that had come was asked for again, but for what was in the air
    expect(fetched).toBeLessThan(bytes * 1.5)
  })

  test('goes on from what a killed process has left', async () => {
    let passed = 0
    await using proxy = await startTcpProxy(server.url, (side, chunk) => {
      passed += side === 'down' ? chunk.length : 0
      return passed < 9_000_000 ? 'pass' : 'swallow'
    })
    const child = spawn(process.execPath, [PROGRAM, 'pull', model, '--to', to, '--server', `${proxy.url}/graphql`], {
      env: environment({}),
      stdio: 'ignore',
    })
    // All that has passed comes to be there, however long it takes, but for a block that each of four connections has in hand.
    await expect.poll(sizeOfPart, { timeout: 30_000 }).toBeGreaterThan(7_000_000)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect((await files()).filter(name => name.endsWith('.part'))).toHaveLength(1)
    const { version, bytes, fetched } = await from(model)
    expect(fetched).toBeLessThan(bytes - 6_500_000)
    expect((await readFile(fileOf(version))).equals(await served(version))).toBe(true)
    expect(await files()).toEqual(named(version))
  })

  test('repairs a file that somebody has written to', async () => {
    const { version } = await from(model)
    {
      await using file = await open(fileOf(version), 'r+')
      await file.write(Buffer.from('spoilt'), 0, 6, 5_000_000)
    }
    const { fetched } = await from(model)
    expect(fetched).toBeGreaterThan(262_144)
    expect(fetched).toBeLessThan(1_000_000)
    expect((await readFile(fileOf(version))).equals(await served(version))).toBe(true)
  })

  test('never writes to a file that is there: who has it open reads on', async () => {
    const { version } = await from(model)
    const before = await stat(fileOf(version))
    await using held = await open(fileOf(version))
    await append('held')
    await from(model)
    const now = await held.stat()
    expect([now.ino, now.mtimeMs, now.size]).toEqual([before.ino, before.mtimeMs, before.size])
  })

  test('as a command says in one line what came, or what to do', async () => {
    const { version } = await from(model)
    const command = async (...args: string[]) => {
      const child = spawn(process.execPath, [PROGRAM, 'pull', ...args], { env: environment({}) })
      let [out, err] = ['', '']
      child.stdout.on('data', data => {
        out += data
      })
      child.stderr.on('data', data => {
        err += data
      })
      const [code] = await once(child, 'close')
      return { code, out, err }
    }
    const at = ['--to', to, '--server', `${server.url}/graphql`]
    const line = `^Pulling ${model}: version ${version}: \\d+ bytes, \\d+ bytes came over the wire\\n$`
    expect(await command(model, ...at)).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(line)) })
    expect(await command('nobody', ...at)).toMatchObject({
      code: 1,
      err: 'teatree: NOT_FOUND: There is no model nobody.\n',
    })
  })

  test('of what is not there, or cannot be, says what would be right', async () => {
    const cases: [spec: string, more: object, message: string][] = [
      [`${model}@9999`, {}, 'NOT_FOUND'],
      ['../up', {}, 'MODEL@VERSION'],
      [`${model}@1.5`, {}, 'a version is a number'],
      [model, { to: join(to, 'file') }, 'cannot be written to'],
      [model, { url: 'http://127.0.0.1:1/graphql' }, '--server'],
    ]
    await writeFile(join(to, 'file'), '')
    for (const [spec, more, message] of cases) {
      const pulling = pull(spec, {
        url: `${server.url}/graphql`,
        to,
        patience: { firstMs: 1, tries: 2 },
        signal,
        ...more,
      })
      const error = await pulling.catch(error => error)
      expect([spec, error.name, error.message.split('\n').length]).toEqual([spec, 'UsageError', 1])
      expect(error.message).toContain(message)
    }
  })
})
