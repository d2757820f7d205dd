import { hash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { comesTrue } from '../../support/comes-true.ts'
import type { Deployment } from './deployment.ts'
import { pick, type Random } from './operations.ts'
import type { Recorder } from './recorder.ts'

const LOOK_MS = 100
/** Files that are looked at in a look; all of them at the end. */
const FILES = 2

/** Looks at the control database and at published files, straight, until it is told to stop. */
export async function monitor(deployment: Deployment, recorder: Recorder, random: Random, signal: AbortSignal) {
  while (!signal.aborted) {
    await lookAtModels(deployment, recorder)
    const files = await publishedFiles(deployment)
    for (let left = FILES; left > 0 && files.length > 0; left--) await lookAtFile(recorder, pick(random, files))
    await wait(LOOK_MS, undefined, { signal }).catch(() => {})
  }
}

async function lookAtModels({ db }: Deployment, recorder: Recorder): Promise<void> {
  const rows = await db
    .query<{ id: string; epoch: number; version: number; lastSeq: bigint }>(
      'SELECT id, epoch, version, last_seq AS "lastSeq" FROM goal_model',
    )
    .catch(() => [])
  const at = recorder.now()
  for (const { id, epoch, version, lastSeq } of rows) {
    const before = recorder.sights.findLast(({ model }) => model === id)
    if (before?.epoch !== epoch || before.version !== version || before.lastSeq !== Number(lastSeq))
      recorder.sights.push({ at, model: id, epoch, version, lastSeq: Number(lastSeq) })
  }
}

/** Waits until a version has been published since, so that one fault does not meet what the last has left alone; or for so long. */
export async function goneOn({ db }: Deployment, ms: number): Promise<void> {
  const published = async () => {
    const [row] = await db
      .query<{ versions: bigint }>('SELECT sum(version) AS versions FROM goal_model')
      .catch(() => [])
    return row?.versions ?? null
  }
  let before = await published()
  await comesTrue(async () => {
    const now = await published()
    const isMore = before !== null && now !== null && now > before
    before ??= now
    return isMore
  }, ms)
}

/** The paths of what is published and kept. */
export async function publishedFiles({ db }: Deployment): Promise<string[]> {
  const rows = await db
    .query<{ uri: string }>(
      `SELECT c.uri FROM content_index c JOIN model_version v ON v.model = c.model AND v.version = c.version
        WHERE v.kept AND NOT v.lost AND c.role = 'PUBLISHED' AND c.form IN ('DUCKDB', 'ARROW')`,
    )
    .catch(() => [])
  return rows.map(({ uri }) => fileURLToPath(uri))
}

export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
}

export async function lookAtFile(recorder: Recorder, path: string): Promise<void> {
  try {
    const before = await stat(path)
    const sha256 = hash('sha256', await readFile(path), 'hex')
    // One that was let go while it was read may have been written to: its name is gone before that.
    const after = await stat(path)
    if (before.ino === after.ino) recorder.files.push({ at: recorder.now(), path, sha256 })
  } catch {
    // Let go.
  }
}
