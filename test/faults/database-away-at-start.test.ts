import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { environment, PROGRAM } from '../support/manager-process.ts'
import { createControlDatabase } from '../support/postgres.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

/** `serve` whose database is at `url`; the lines of its log, and of what it prints. */
async function starting(stack: AsyncDisposableStack, url: string) {
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-')), path => rm(path, { recursive: true, force: true }))
  const child = spawn(process.execPath, [PROGRAM, 'serve'], {
    env: environment({ PORT: '0', TEATREE_DATA_DIR: join(dir, 'data'), TEATREE_DATABASE_URL: url }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = once(child, 'exit')
  stack.defer(async () => {
    child.kill('SIGKILL')
    await exit
  })
  const find = async (lines: AsyncIterable<string>, text: string) => {
    for await (const line of lines) if (line.includes(text)) return line
    return null
  }
  const said = find(createInterface({ input: child.stderr }), 'the database does not answer yet')
  const ready = find(createInterface({ input: child.stdout }), '/graphql')
  return { child, exit, said, ready }
}

/** An address where nobody listens, and where somebody can come to. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return `127.0.0.1:${port}`
}

test('a platform that is started before its database says so, waits, and is ready when it answers', async () => {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await createControlDatabase())
  const state = { isAway: true }
  const proxy = stack.use(await startTcpProxy(database.url, () => (state.isAway ? 'cut' : 'pass')))
  const url = new URL(database.url)
  url.host = new URL(proxy.url).host
  const { said, ready } = await starting(stack, url.href)
  expect(await said).not.toBeNull()
  state.isAway = false
  expect(await ready).not.toBeNull()
})

test('one that is told to stop while it waits for its database ends', async () => {
  await using stack = new AsyncDisposableStack()
  const { child, exit, said } = await starting(stack, `postgres://nobody@${await freeAddress()}/nothing`)
  expect(await said).not.toBeNull()
  child.kill('SIGTERM')
  expect(await exit).toEqual([0, null])
})
