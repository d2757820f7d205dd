import { readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { comesTrue } from '../../support/comes-true.ts'
import type { Deployment } from './deployment.ts'
import { filesBelow, publishedFiles } from './monitor.ts'
import { signalAll } from './processes.ts'

/**
 * Kills everything at once; and of files that were not brought to disk since they were written nothing is left. Answers with
 * those of published versions among them: there may be none.
 */
export async function losePower(deployment: Deployment): Promise<string[]> {
  const { dir, nodes } = deployment
  const back = Promise.withResolvers<void>()
  // Nothing may be at work as files are lost.
  for (const node of nodes) node.power = back.promise
  try {
    await comesTrue(async () => {
      const isAnyThere = await signalAll(dir, 'SIGKILL')
      return !isAnyThere && nodes.every(({ pid }) => pid === null)
    })
    return await loseUnsynced(deployment)
  } finally {
    back.resolve()
  }
}

async function loseUnsynced(deployment: Deployment): Promise<string[]> {
  const synced = await syncedFiles(deployment)
  const lost: string[] = []
  for (const path of await filesBelow(join(deployment.dataDir, 'models'))) {
    const of = await stat(path, { bigint: true }).catch(() => null)
    if (!of || synced.get(`${of.dev}:${of.ino}`) === `${of.size} ${of.mtimeNs}`) continue
    await truncate(path, 0)
    lost.push(path)
  }
  const published = new Set(await publishedFiles(deployment))
  return lost.filter(path => published.has(path))
}

async function syncedFiles({ synced }: Deployment): Promise<Map<string, string>> {
  const lines = (await readFile(synced, 'utf8').catch(() => '')).split('\n').filter(Boolean)
  return new Map(lines.map(line => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]))
}
