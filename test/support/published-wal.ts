import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blockManifest, manifestDigest } from '../../src/engine/duckdb/snapshot-files.ts'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import type { Database } from '../../src/platform/postgres.ts'
import { openWalDatabase } from './base-and-wal.ts'

/**
 * Has a version's files be a base, which is the version before it, and a WAL of `statements`, as a publish without a
 * checkpoint leaves them; the index says so too.
 */
export async function republishAsWal(
  { db, dataDir }: { db: Database; dataDir: string },
  model: string,
  version: number,
  statements: readonly string[],
): Promise<void> {
  const rows = await db.query<{ version: number; epoch: number }>(
    'SELECT version, epoch FROM model_version WHERE model = $1 AND version IN ($2, $2 - 1) ORDER BY version',
    [model, version],
  )
  const [before, now] = rows.map(({ version, epoch }) => new ModelFiles(dataDir, model).versionDir(version, epoch))
  if (before === undefined || now === undefined) throw new Error('no such versions')
  const dir = await mkdtemp(join(tmpdir(), 'teatree-wal-'))
  try {
    using database = await openWalDatabase(dir, { from: join(before, 'model.duckdb') })
    await rm(join(now, 'model.duckdb'))
    const moved = `UPDATE _teatree.state SET version = ${version}, last_seq = ${version}`
    const files = await database.publish(now, ...statements, moved)
    await db.query(`DELETE FROM content_index WHERE model = $1 AND version = $2 AND form = 'DUCKDB'`, [model, version])
    for (const [name, path] of Object.entries(files)) {
      const bytes = await readFile(path)
      const sha256 = name === 'base.duckdb' ? manifestDigest(await blockManifest(path)) : hash('sha256', bytes, 'hex')
      await db.query(
        `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256) VALUES ($1, $2, 'DUCKDB', $3, $4, $5, $6)`,
        [model, version, name, `file://${path}`, bytes.length, sha256],
      )
    }
  } finally {
    await rm(dir, { recursive: true })
  }
}
