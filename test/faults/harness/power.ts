import { readdir, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deployment } from './deployment.ts'
import { publishedFiles } from './monitor.ts'

/**
 * What a loss of power does, once all processes are dead: of files that were not brought to disk since they were written,
 * nothing is left. Answers with those of published versions among them: there may be none.
 */
export async function losePower(deployment: Deployment): Promise<string[]> {
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

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
}
