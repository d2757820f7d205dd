import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { openObjectStore } from '../../../src/platform/objects/index.ts'
import type { Queryable } from '../../../src/platform/postgres.ts'
import { comesTrue } from '../../support/comes-true.ts'
import type { Answer } from '../../support/platform.ts'
import type { Deployment } from './deployment.ts'
import type { ArchiveState, History, LedgerRow, LogRow, ModelOf, QueryRunRow, Row, VersionRow } from './history.ts'
import { filesBelow, publishedFiles } from './monitor.ts'
import { processesOf, signalAll } from './processes.ts'
import { columnsOf } from './reader.ts'
import type { Recorder } from './recorder.ts'
import { ask } from './requests.ts'

/**
 * Within so long everything goes on by itself once the faults are over: a lease, the longest backoff, and the rest after an
 * archive during which its manager was frozen, which is nine times as long as that took; on a machine that may be busy.
 */
const HEAL_MS = 600_000
/** What comes to rest by itself, and soon, on a machine that may be busy. */
const REST_MS = 60_000
const TAG = /\bc\d+-\d{5}(?:-other)?\b/

/** Waits until everything that was asked has ended, is archived, and health is green; says what did not come, and what came last. */
export async function heal(
  { db, dir, nodes }: Deployment,
  ms: number = HEAL_MS,
): Promise<{ stuck: string[]; last: string }> {
  const waiting = async (): Promise<string[]> => {
    const models = await db
      .query<{ id: string; version: number; archived: number; blocked: object | null; open: bigint }>(
        `SELECT id, version, archived_version AS archived, blocked,
                (SELECT count(*) FROM intent WHERE model = m.id AND ended_at IS NULL) AS open FROM goal_model m`,
      )
      .catch(error => [String(error)])
    const said = models.flatMap(model => {
      if (typeof model === 'string') return [model]
      const { id, version, archived, blocked, open } = model
      return [
        ...(open > 0n ? [`${open} intents of ${id} have not ended`] : []),
        ...(archived < version ? [`version ${version} of ${id} is not archived, ${archived} is`] : []),
        ...(blocked ? [`${id} is blocked: ${JSON.stringify(blocked)}`] : []),
      ]
    })
    const health = await Promise.all(
      nodes.map(async ({ name, url }) => {
        const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).catch(() => null)
        return response?.status === 200 ? [] : [`${name} is not ready: ${(await response?.text()) ?? 'no answer'}`]
      }),
    )
    return [...said, ...health.flat()]
  }
  let stuck: string[] = []
  let last = 'nothing'
  await comesTrue(async () => {
    // One may have come to a point as the faults ended, at which it was told to stop.
    await signalAll(dir, 'SIGCONT', ({ isStopped }) => isStopped)
    stuck = await waiting()
    last = stuck[0] ?? last
    return stuck.length === 0
  }, ms)
  return { stuck, last }
}

/** What the control database holds in the end. */
export async function readLedger({
  db,
}: Deployment): Promise<Pick<History['end'], 'ledger' | 'versions' | 'queryRuns' | 'log'>> {
  return await db.transaction(async tx => {
    // All of one moment: what has not healed may still end meanwhile.
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    return await readAll(tx)
  })
}

async function readAll(tx: Queryable): ReturnType<typeof readLedger> {
  const ledger = await tx.query<Omit<LedgerRow, 'tag'> & { key: string | null; arguments: object; seq: bigint }>(
    `SELECT i.id, i.model, i.seq, i.idempotency_key AS key, i.arguments, i.function, i.status, i.version, i.error ->> 'code' AS code,
            i.attempts, i.solo, coalesce((SELECT json_agg(json_build_object('model', r.model, 'version', r.version))
                                            FROM intent_read r WHERE r.intent = i.id), '[]') AS reads
       FROM intent i ORDER BY i.model, i.seq`,
  )
  const versions = await tx.query<VersionRow>(
    'SELECT model, version, epoch, last_seq AS "lastSeq" FROM model_version ORDER BY model, version',
  )
  const queryRuns = await tx.query<QueryRunRow>('SELECT id, model, state FROM query_run ORDER BY model, id')
  const log = await tx.query<LogRow>(
    'SELECT model, position, coalesce(intent, query_run) AS id FROM completion ORDER BY model, position',
  )
  return {
    ledger: ledger.map(({ key, arguments: args, ...row }) => ({
      ...row,
      seq: Number(row.seq),
      tag: key ?? TAG.exec(JSON.stringify(args))?.[0] ?? null,
    })),
    versions: versions.map(row => ({ ...row, lastSeq: Number(row.lastSeq) })),
    queryRuns,
    log: log.map(row => ({ ...row, position: Number(row.position) })),
  }
}

/** The intents that have failed or were set aside, as whoever is to see to them finds them. */
export async function readListed({ nodes }: Deployment, models: readonly ModelOf[]): Promise<string[]> {
  const text = `query ($model: ID!, $after: String) {
    intents(where: { model: $model, status: [FAILED, PARKED] }, first: 200, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } }`
  const listed: string[] = []
  for (const { id: model } of models)
    for (let after: string | null = ''; after !== null; ) {
      const { data, message } = await ask(`${nodes[0]?.url}`, text, { model, after: after || null }, 30_000)
      if (!data) throw new Error(`intents could not be listed: ${message}`)
      const { nodes: found, pageInfo } = data.intents
      listed.push(...found.map(({ id }: Answer) => id))
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null
    }
  return listed
}

/** The rows of every archive that PostgreSQL knows, as they are in the store. */
export async function readArchives(
  { db, store }: Deployment,
  models: readonly ModelOf[],
  recorder: Recorder,
): Promise<ArchiveState[]> {
  const archives = await db.query<{ model: string; version: number; tables: { table: string; key: string }[] }>(
    `SELECT model, version, tables FROM archive WHERE state = 'THERE' ORDER BY model, version DESC`,
  )
  await using stack = new AsyncDisposableStack()
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-faults-archives-')), path =>
    rm(path, { recursive: true }),
  )
  const objects = stack.adopt(await openObjectStore(store.url, { ...process.env, ...store.env }), open => open.close())
  const instance = await DuckDBInstance.create(':memory:')
  stack.defer(() => instance.closeSync())
  const connection = await instance.connect()
  stack.defer(() => connection.closeSync())
  const states: ArchiveState[] = []
  for (const { model, version, tables } of archives) {
    const kind = models.find(({ id }) => id === model)?.kind ?? 'sales'
    const rows: Record<string, Row[]> = {}
    for (const { table, key } of tables) {
      const columns = columnsOf(kind, table)
      if (!columns) continue
      const path = join(folder, `${hash('sha256', key, 'hex')}.parquet`)
      await objects.getFile(key, path, {})
      const selected = columns.map(name => `CAST("${name}" AS VARCHAR) AS "${name}"`).join()
      const found = await connection.runAndReadAll(`SELECT ${selected} FROM read_parquet('${path}')`)
      rows[table] = found.getRowObjectsJS() as unknown as Row[]
    }
    states.push({ model, version, content: recorder.keep(rows) })
  }
  return states
}

/** Stops everything, and says what is left that should not be. */
export async function stopAndLook(deployment: Deployment): Promise<string[]> {
  const { db, dataDir, dir, nodes } = deployment
  const strays = async () => {
    const published = new Set(await publishedFiles(deployment))
    return (await filesBelow(join(dataDir, 'models'))).filter(path => /\/versions\//.test(path) && !published.has(path))
  }
  await comesTrue(async () => (await strays()).length === 0, REST_MS)
  const ended = nodes.map(async node => ({ name: node.name, ...(await node.stop()) }))
  const badly = (await Promise.all(ended)).filter(({ code }) => code !== 0)
  let connections: { name: string }[] = []
  await comesTrue(async () => {
    connections = await db.query(
      `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'faults'`,
    )
    return connections.length === 0
  }, REST_MS)
  const published = new Set(await publishedFiles(deployment))
  // What killed processes have left there goes by its age, when a server starts; and so it is with the store.
  const queries = join(dataDir, 'queries')
  const files = (await filesBelow(dataDir)).filter(path => !published.has(path) && !path.startsWith(queries))
  return [
    ...badly.map(({ name, code, ms }) => `${name} ended with ${code} after ${Math.round(ms)} ms`),
    ...(await processesOf(dir)).map(({ pid, command }) => `process ${pid}: ${command}`),
    ...connections.map(({ name }) => `a connection of ${name}`),
    ...files.map(path => `the file ${path.slice(dir.length + 1)}`),
  ]
}
