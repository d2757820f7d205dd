import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Client, createClient } from 'graphql-ws'
import WebSocket from 'ws'
import { createControlDatabase } from './postgres.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))

// biome-ignore lint/suspicious/noExplicitAny: an answer has the shape that the query asked for; tests say it by reading it
export type Answer = any

/** A platform of one's own: `teatree serve` as a process, on a database and in a folder that go with it. */
export interface TestPlatform extends AsyncDisposable {
  readonly url: string
  readonly dir: string
  readonly databaseUrl: string
  readonly process: ChildProcess
  /** Data of one operation; an error of the answer is thrown. */
  graphql(query: string, variables?: Record<string, unknown>): Promise<Answer>
  /** The whole answer, errors and all. */
  answer(query: string, variables?: Record<string, unknown>): Promise<{ data?: Answer; errors?: Answer[] }>
  upload(body: NonNullable<RequestInit['body']>): Promise<string>
  /** What a subscription yields, over a WebSocket of its own; it is closed when the iteration ends. */
  subscribe(query: string, variables?: Record<string, unknown>): AsyncIterableIterator<Answer>
  /** The same data served anew by another process: after a kill, say. `meanwhile` is done while none runs. */
  restart(meanwhile?: () => Promise<void>): Promise<void>
  /** Lines that the process wrote to standard error. */
  readonly log: readonly string[]
}

/** Starts a platform, with one manager for all models: each more is a start more. `env` adds settings. */
export async function startPlatform(env: Record<string, string> = {}): Promise<TestPlatform> {
  const stack = new AsyncDisposableStack()
  const database = stack.use(await createControlDatabase())
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-')), path => rm(path, { recursive: true, force: true }))
  const log: string[] = []
  const settings = {
    ...inherited(),
    PORT: '0',
    TEATREE_DATA_DIR: join(dir, 'data'),
    TEATREE_DATABASE_URL: database.url,
    TEATREE_STORE_URL: pathToFileURL(join(dir, 'store')).href,
    TEATREE_MANAGERS: '1',
    ...env,
  }
  let running = await serve(settings, log)
  stack.defer(() => stop(running.child))
  const clients = new Set<Client>()
  stack.defer(async () => {
    for (const client of clients) await client.dispose()
  })
  const answer: TestPlatform['answer'] = async (query, variables = {}) => {
    const response = await fetch(`${running.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    })
    return (await response.json()) as { data?: Answer; errors?: Answer[] }
  }
  return {
    get url() {
      return running.url
    },
    get process() {
      return running.child
    },
    dir,
    databaseUrl: database.url,
    log,
    answer,
    async graphql(query, variables) {
      const { data, errors } = await answer(query, variables)
      if (errors?.[0]) throw new Error(`${errors[0].extensions?.code}: ${errors[0].message}`)
      return data
    },
    async upload(body) {
      const response = await fetch(`${running.url}/uploads`, { method: 'POST', body, duplex: 'half' } as RequestInit)
      const { id, error } = (await response.json()) as Answer
      if (!id) throw new Error(`${error?.code}: ${error?.message}`)
      return id
    },
    async *subscribe(query, variables = {}) {
      const client = createClient({ url: `${running.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket })
      clients.add(client)
      try {
        for await (const { data, errors } of client.iterate<Answer>({ query, variables })) {
          if (errors?.[0]) throw new Error(errors[0].message)
          yield data
        }
      } finally {
        clients.delete(client)
        await client.dispose()
      }
    },
    async restart(meanwhile) {
      await stop(running.child)
      await meanwhile?.()
      running = await serve(settings, log)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Another API process on the same data; `env` adds settings. */
export const startBeside = ({ databaseUrl, dir }: TestPlatform, env: Record<string, string> = {}) =>
  startPlatform({
    TEATREE_DATABASE_URL: databaseUrl,
    TEATREE_DATA_DIR: join(dir, 'data'),
    TEATREE_STORE_URL: pathToFileURL(join(dir, 'store')).href,
    ...env,
  })

/** The environment without settings of ours or of OpenTelemetry's: a test says which it wants. */
const inherited = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TEATREE_|OTEL_|PORT$|HOST$)/.test(name)))

/** `teatree serve` with these settings, once it is ready. */
export async function serve(env: NodeJS.ProcessEnv, log: string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  createInterface({ input: child.stderr }).on('line', line => log.push(line))
  const lines = createInterface({ input: child.stdout })
  for await (const line of lines) {
    const url = /(http:\/\/\S+)\/graphql/.exec(line)?.[1]
    if (url) return { child, url }
  }
  throw new Error(`the platform did not start:\n${log.join('\n')}`)
}

/** By SIGTERM; one that has not ended by then is killed. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exit
  clearTimeout(late)
}
