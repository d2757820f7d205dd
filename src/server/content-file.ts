import { hash } from 'node:crypto'
import { listContent } from '../jobs/content.ts'
import { ModelFiles } from '../jobs/model-files.ts'
import type { Content } from '../jobs/records.ts'
import { versionGone } from '../jobs/version-leases.ts'
import { TeatreeError } from '../platform/errors.ts'
import { answerJson } from './answers.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import { type ContentDeps, IMMUTABLE, type Published } from './published.ts'

const NAME = 'model.duckdb'

/** The snapshot file of a DUCKDB model, whole or in ranges. */
export async function answerDatabase(exchange: Exchange, deps: ContentDeps, published: Published): Promise<void> {
  const { sha256 } = await databaseOf(deps, published)
  const { id } = published.model
  const headers = {
    ...IMMUTABLE,
    'content-type': 'application/vnd.duckdb',
    'content-disposition': `attachment; filename="${id}-${published.version.version}.duckdb"`,
  }
  const open = await deps.services.snapshots.open(published.version)
  try {
    const answer = { path: pathOf(deps, published), tag: `"${sha256}"`, headers, check: open.check }
    if (!(await answerFile(exchange, answer))) throw versionGone(published.version)
  } finally {
    open.release()
  }
}

/** Its block manifest, by which a pull knows what to fetch: `{version, bytes, blockSize, blocks}`. */
export async function answerBlocks(exchange: Exchange, deps: ContentDeps, published: Published): Promise<void> {
  const { sha256 } = await databaseOf(deps, published)
  const path = pathOf(deps, published)
  const open = await deps.services.snapshots.open(published.version)
  const manifest = await manifestOf(deps, published, path).finally(open.release)
  // A block that is not what was published must not pass for it.
  if (!manifest || hash('sha256', manifest.blocks.join('\n')) !== sha256) throw new Error(`${path} is not as published`)
  const { bytes, blockSize, blocks } = manifest
  answerJson(exchange, 200, { version: published.version.version, bytes, blockSize, blocks }, IMMUTABLE)
}

async function databaseOf({ services }: ContentDeps, { model, version }: Published): Promise<Content> {
  const where = { model: model.id, version: version.version, form: 'DUCKDB' as const }
  const files = await listContent(services.db, where, { limit: 100 })
  const file = files.find(({ name }) => name === NAME)
  if (file) return file
  throw new TeatreeError('NOT_FOUND', `Version ${version.version} of model ${model.id} has no ${NAME}.`)
}

function pathOf({ dataDir }: ContentDeps, { model, version }: Published): string {
  const path = new ModelFiles(dataDir, model.id).snapshotFiles(version, [NAME])[NAME]
  if (path === undefined) throw new Error('no path')
  return path
}

/** Undefined where the engine's files have none. */
async function manifestOf({ engines }: ContentDeps, { model, version }: Published, path: string) {
  try {
    return await engines.get(model.engine)?.blockManifest?.(path)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? versionGone(version) : error
  }
}
