import { randomUUID } from 'node:crypto'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { startFailingServer } from '../../support/failing-server.ts'
import { type Rule, startTcpProxy } from '../../support/tcp-proxy.ts'
import type { KillOrders } from './kill-orders.ts'
import { chance, pick, type Random, upTo } from './operations.ts'

/** Where archives and uploads go. What breaks it answers with what mends it. */
export interface Store {
  readonly url: string
  readonly env: Readonly<Record<string, string>>
  away(): Promise<() => Promise<void>>
  /** Slow, where it can be, and not to be relied on. */
  failing(random: Random): Promise<() => Promise<void>>
}

/** Real S3 where TEATREE_TEST_STORE_URL names some, else a folder in `dir`. */
export function openStore(stack: AsyncDisposableStack, dir: string, orders: KillOrders): Promise<Store> {
  const { TEATREE_TEST_STORE_URL: url, AWS_ENDPOINT_URL_S3: endpoint } = process.env
  return url && endpoint ? openS3(stack, url, endpoint) : openFolder(dir, orders)
}

async function openS3(stack: AsyncDisposableStack, url: string, endpoint: string): Promise<Store> {
  let status: number | null = null
  let rule: Rule = () => 'pass'
  const failing = stack.use(await startFailingServer(endpoint, () => status))
  const proxy = stack.use(await startTcpProxy(failing.url, (...of) => rule(...of)))
  const mend = async () => {
    status = null
    rule = () => 'pass'
  }
  return {
    url: `${url}/${randomUUID()}`,
    env: { AWS_ENDPOINT_URL_S3: proxy.url },
    async away() {
      rule = () => 'cut'
      return mend
    },
    async failing(random) {
      status = pick(random, [null, 500, 503])
      rule = async () => {
        await wait(upTo(random, 1500))
        return chance(random, 0.1) ? 'cut' : 'pass'
      }
      return mend
    },
  }
}

/** By a link, in whose place something else can be put, and the link again, at one stroke. */
async function openFolder(dir: string, orders: KillOrders): Promise<Store> {
  const folder = join(dir, 'store')
  const files = join(dir, 'store-files')
  const next = join(dir, 'store-next')
  const put = async () => {
    await symlink(files, next)
    await rename(next, folder)
  }
  await mkdir(files)
  await put()
  const steps = ['archive.exported', 'archive.put', 'archive.manifest'] as const
  return {
    url: pathToFileURL(folder).href,
    env: {},
    async away() {
      await writeFile(next, '')
      await rename(next, folder)
      return put
    },
    async failing() {
      for (const step of steps) await orders.give(step, 'fail EIO')
      return async () => {
        for (const step of steps) await orders.takeBack(step)
      }
    },
  }
}
