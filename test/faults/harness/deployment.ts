import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Database } from '../../../src/platform/postgres.ts'
import { environment } from '../../support/manager-process.ts'
import { fill, mounted } from '../../support/small-disk.ts'
import type { DatabaseServer } from './database-server.ts'
import { KillOrders } from './kill-orders.ts'
import { ServerNode } from './node.ts'
import { signalAll } from './processes.ts'
import { openStore, type Store } from './store.ts'

const PRELOAD = new URL('preload.ts', import.meta.url).href
const DISK_MEBIBYTES = 768
const HOUR_MS = 3_600_000

/** A platform to be broken: two servers, which run managers, on one database, one data directory and one store. */
export interface Deployment extends AsyncDisposable {
  readonly dir: string
  readonly dataDir: string
  readonly orders: KillOrders
  readonly store: Store
  /** Straight to the database, whatever lies between it and the servers. */
  readonly db: Database
  readonly server: DatabaseServer
  readonly nodes: readonly ServerNode[]
  /** Files as they were when they were brought to disk. */
  readonly synced: string
  /** Settings of a process of the platform that is started beside. */
  readonly env: NodeJS.ProcessEnv
  /** Null where this user may have no small disk. */
  fillDisk: (() => Promise<() => Promise<void>>) | null
}

export async function deploy(
  server: DatabaseServer,
  of: { name: string; clockHours: readonly number[]; bug: string | null },
): Promise<Deployment> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-faults-')), path =>
    rm(path, { recursive: true, force: true, maxRetries: 5 }),
  )
  const dataDir = join(dir, 'data')
  await mkdir(dataDir)
  const isSmall = mounted(dataDir, `size=${DISK_MEBIBYTES}m`)
  if (isSmall) stack.defer(() => void execFileSync('umount', ['--lazy', dataDir]))
  const url = stack.adopt(await server.create(of.name), () => server.drop(of.name).catch(() => {}))
  const db = stack.adopt(new Database({ url, name: 'faults', connections: 4, onError: () => {} }), open => open.close())
  const orders = await KillOrders.open(join(dir, 'kill-points'))
  const store = await openStore(stack, dir, orders)
  const synced = join(dir, 'synced')
  const env = environment({
    PORT: '0',
    TEATREE_DATA_DIR: dataDir,
    TEATREE_STORE_URL: store.url,
    // Nobody asks for SQL here: no processes are kept for it.
    TEATREE_SQL_PROCESSES: '1',
    TEATREE_RUN_PROCESSES: '0',
    TEATREE_TEST_KILL_POINTS: orders.dir,
    TEATREE_TEST_SYNCED: synced,
    NODE_OPTIONS: `--import=${PRELOAD}`,
    ...(of.bug ? { TEATREE_TEST_BUG: of.bug } : {}),
    ...store.env,
  })
  const nodes: ServerNode[] = []
  stack.defer(async () => {
    await Promise.all(nodes.map(node => node.stop()))
    await Promise.all(nodes.map(node => node.release()))
    await signalAll(dir, 'SIGKILL')
  })
  const starting = of.clockHours.map((hours, index) =>
    ServerNode.start(`server-${index + 1}`, url, {
      ...env,
      TEATREE_MANAGERS: '1',
      TEATREE_TEST_CLOCK_MS: String(hours * HOUR_MS),
    }),
  )
  nodes.push(...(await Promise.all(starting)))
  const owned = stack.move()
  return {
    dir,
    dataDir,
    orders,
    store,
    db,
    server,
    nodes,
    synced,
    env,
    fillDisk: isSmall ? () => fill(dataDir, 0) : null,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
