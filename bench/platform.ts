import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { graphql, type Server, submit, upload } from '../src/commands/client.ts'
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres.ts'
import type { Database } from '../src/platform/postgres.ts'
import { stop } from './processes.ts'

const PROGRAM = fileURLToPath(new URL('../bin/teatree.js', import.meta.url))

/** A platform to be measured, as a process of its own, and the PostgreSQL that it shares with its peers. */
export interface BenchPlatform extends AsyncDisposable {
  server: Server
  url: string
  /** The one that serves. */
  process: ChildProcess
  dataDir: string
  /** Its control database. */
  databaseUrl: string
  /** For peers: a database of their own on the same PostgreSQL. */
  peerUrl: string
  /** Another one, by its name; the URL. */
  database(name: string): Promise<string>
  versions: string
  /** Stops it, and starts it again on what it has written; `url`, `server` and `process` are others then. How long the start took, in ms. */
  restart(): Promise<number>
}

/** @param more arguments of Node and environment of the serving process */
export async function startBenchPlatform(
  more: { nodeArgs?: readonly string[]; env?: Record<string, string> } = {},
): Promise<BenchPlatform> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-bench-')), path =>
    rm(path, { recursive: true, force: true }),
  )
  const postgres = stack.adopt(await startEmbeddedPostgres({ dir: join(dir, 'postgres'), log: () => {} }), p =>
    p.stop(),
  )
  const peerUrl = await database(postgres.url, 'peers')
  const databaseUrl = await database(postgres.url, 'platform')
  const dataDir = join(dir, 'data')
  const env = {
    ...process.env,
    ...more.env,
    PORT: '0',
    TEATREE_DATA_DIR: dataDir,
    TEATREE_DATABASE_URL: databaseUrl,
  }
  const versions = await serverVersion(postgres.url)
  const served = await serve(env, more.nodeArgs)
  const under = stack.move()
  const platform = {
    ...served,
    dataDir,
    databaseUrl,
    peerUrl,
    database: (name: string) => database(postgres.url, name),
    versions,
    async restart() {
      await stop(platform.process)
      const began = performance.now()
      Object.assign(platform, await serve(env, more.nodeArgs))
      return performance.now() - began
    },
    async [Symbol.asyncDispose]() {
      await stop(platform.process)
      await under.disposeAsync()
    },
  }
  return platform
}

/** All is archived: nothing is left for managers to do. */
export async function settled(db: Database): Promise<void> {
  for (;;) {
    const [left] = await db.query<{ models: number }>(
      'SELECT count(*)::int AS models FROM goal_model WHERE deleted_at IS NULL AND version > archived_version',
    )
    if (left?.models === 0) return
    await wait(500)
  }
}

/** Starts the platform in a process of its own. */
async function serve(
  env: NodeJS.ProcessEnv,
  nodeArgs: readonly string[] = [],
): Promise<Pick<BenchPlatform, 'process' | 'url' | 'server'>> {
  const child = spawn(process.execPath, [...nodeArgs, PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /(http:\/\/\S+)\/graphql/.exec(line)?.[1]
    if (url === undefined) continue
    // What it logs is nobody's; where nobody took it, it would stand still.
    child.stdout.resume()
    return { server: { url: `${url}/graphql` }, url, process: child }
  }
  throw new Error('the platform did not start')
}

async function database(url: string, name: string): Promise<string> {
  await withClient(url, client => client.query(`CREATE DATABASE ${name}`))
  const made = new URL(url)
  made.pathname = `/${name}`
  return made.href
}

const serverVersion = async (url: string): Promise<string> =>
  withClient(url, async client => `PostgreSQL ${(await client.query('SHOW server_version')).rows[0].server_version}`)

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** Makes a model, and answers with its id. */
export async function createModel(server: Server, input: Record<string, unknown>): Promise<string> {
  const text = 'mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }'
  return (await graphql<{ createModel: { id: string } }>(server, text, { input })).createModel.id
}

/** Uploads a file and imports it into `sales`. */
export async function importSales(server: Server, model: string, file: AsyncIterable<Uint8Array>): Promise<void> {
  const id = await upload(server, file)
  await submit(server, {
    name: 'importSales',
    types: '$model: ID!, $source: ImportSource!',
    variables: { model, source: { upload: { id } } },
  })
}
