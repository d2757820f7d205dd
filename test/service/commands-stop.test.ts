import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { runNode } from '../support/node-process.ts'
import { createControlDatabase } from '../support/postgres.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))
const TRIAL_KINDS = fileURLToPath(new URL('../support/trial-kinds', import.meta.url))
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-stop-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

interface Running extends AsyncDisposable {
  child: ChildProcess
  out: string[]
  ended: Promise<unknown[]>
  /** Settles at the first line of either stream that matches. */
  says(what: RegExp): Promise<string>
}

/** Runs the program until it ends or is disposed of. */
function start(args: readonly string[], env: Record<string, string>): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(TEATREE_|OTEL_|PORT$|HOST$)/.test(name))
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...Object.fromEntries(inherited), PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', line => out.push(line))
  const ended = once(child, 'exit')
  return {
    child,
    out,
    ended,
    says: what =>
      vi.waitFor(
        () => {
          const line = out.find(each => what.test(each))
          if (line === undefined) throw new Error(`not said: ${what}\n${out.join('\n')}`)
          return line
        },
        { timeout: 100_000, interval: 5 },
      ),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

test('the same signal again at once is the same one; a later one ends the process', async () => {
  const { child, lines, ended } = runNode(`
    import { stopSignal } from './src/commands/stop.ts'
    const stopped = stopSignal(['SIGTERM', 'SIGINT'])
    process.on('SIGTERM', () => console.log('heard'))
    process.stdin.resume()
    console.log('ready', await Promise.race([stopped, 'running']))
    console.log('stopped', await stopped)
  `)
  const said = async () => (await lines.next()).value
  expect(await said()).toBe('ready running')
  child.kill('SIGTERM')
  expect([await said(), await said()].sort()).toEqual(['heard', 'stopped SIGTERM'])
  child.kill('SIGTERM')
  expect(await said()).toBe('heard')
  expect(child.exitCode ?? child.signalCode).toBeNull()
  child.kill('SIGINT')
  await ended
  expect(child.signalCode).toBe('SIGINT')
})

test('SIGTERM while serve starts stops the PostgreSQL that it started', async () => {
  const data = join(dir, 'early')
  await using serve = start(['serve'], { TEATREE_DATA_DIR: data })
  const started = await serve.says(/PostgreSQL .*\(process \d+, port \d+\)/)
  const pid = Number(/\(process (\d+)/.exec(started)?.[1])
  serve.child.kill('SIGTERM')
  expect(await serve.ended).toEqual([0, null])
  // It is nobody's child by now, and whoever takes in orphans may take a moment.
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), 30_000)
  await expect(readFile(join(data, 'postgres', 'cluster', 'data', 'postmaster.pid'))).rejects.toThrow('ENOENT')
})

test('serve that is told to stop while a client waits for a function that does not is gone in time, and all that it started', async () => {
  const env = { TEATREE_DATA_DIR: join(dir, 'deaf'), TEATREE_MANAGERS: '1', TEATREE_KINDS: TRIAL_KINDS }
  await using serve = start(['serve'], env)
  const url = (await serve.says(/GraphQL and GraphiQL/)).split(/ +/).at(-1) ?? ''
  const ask = async (query: string) => {
    const headers = { 'content-type': 'application/json' }
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) })).json()
  }
  expect(await ask('mutation { createModel(input: { id: "deaf", kind: "trial" }) { id } }')).not.toHaveProperty(
    'errors',
  )
  const waiting = ask('mutation { trialSpin(model: "deaf", waitMs: 60000) { id } }')
  waiting.catch(() => {})
  const status = async () => (await ask('{ intents { nodes { status } } }')).data.intents.nodes[0]?.status
  await vi.waitFor(async () => expect(await status()).toBe('RUNNING'), { timeout: 30_000, interval: 50 })
  const started = await descendants(serve.child.pid ?? 0)
  const postgres = Number(
    /\(process (\d+)/.exec(serve.out.find(line => /PostgreSQL .*\(process/.test(line)) ?? '')?.[1],
  )
  expect(started.length).toBeGreaterThan(0)
  serve.child.kill('SIGTERM')
  await expect(waiting).rejects.toThrow()
  // It is killed 7 s after it was told to stop, which it was before the client was cut off: not as long behind that.
  await vi.waitFor(() => expectGone(started), { timeout: 7000, interval: 50 })
  expect(await serve.ended).toEqual([0, null])
  await vi.waitFor(() => expectGone([postgres]), 30_000)
}, 240_000)

function expectGone(pids: readonly number[]): void {
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
}

/** Processes that this one has started, and those that these have. */
async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'ppid=,pid='])
  const all = stdout
    .trim()
    .split('\n')
    .map(line => line.trim().split(/ +/).map(Number))
  const below = (parent: number): number[] =>
    all.flatMap(([of, child = 0]) => (of === parent ? [child, ...below(child)] : []))
  return below(pid)
}

test('demo that is told to stop, or killed, while it fills, is filled by the next start, and goes on serving when its models are deleted', async () => {
  await using database = await createControlDatabase()
  const env = { TEATREE_DATABASE_URL: database.url, TEATREE_DATA_DIR: join(dir, 'demo'), TEATREE_MANAGERS: '1' }
  {
    await using first = start(['demo', '--rows', '2000000'], env)
    await first.says(/^Importing salespersons/)
    first.child.kill('SIGINT')
    expect(await first.ended).toEqual([0, null])
    expect(first.out.join('\n')).not.toContain('All sites')
  }
  {
    await using second = start(['demo', '--rows', '3000'], env)
    await second.says(/^Importing customers/)
    second.child.kill('SIGKILL')
    await second.ended
  }
  await using demo = start(['demo', '--rows', '3000'], env)
  await demo.says(/^New orders come in/)
  expect(demo.out.join('\n')).toMatch(/Importing sales: \d{4} rows.*\nComputing goals: [1-9]/)
  const url = (await demo.says(/^GraphiQL/)).split(/ +/)[1] ?? ''
  const ask = async (query: string) => {
    const headers = { 'content-type': 'application/json' }
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) })).json()
  }
  for (const id of ['demo-goals', 'demo-sales'])
    expect(await ask(`mutation { deleteModel(id: "${id}") }`)).not.toHaveProperty('errors')
  await demo.says(/^demo: no order: NOT_FOUND.*no more orders come in/)
  expect(await ask('{ model(id: "demo-sales") { id } }')).toEqual({ data: { model: null } })
  demo.child.kill('SIGTERM')
  expect(await demo.ended).toEqual([0, null])
}, 240_000)
