import { hash } from 'node:crypto'
import { listContent } from '../jobs/content.ts'
import { ModelFiles } from '../jobs/model-files.ts'
import type { Content } from '../jobs/records.ts'
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
  const answer = { path: pathOf(deps, published), tag: `"${sha256}"`, headers }
  if (!(await answerFile(exchange, answer))) throw gone(published)
}

/** Its block manifest, by which a pull knows what to fetch: `{version, bytes, blockSize, blocks}`. */
export async function answerBlocks(exchange: Exchange, deps: ContentDeps, published: Published): Promise<void> {
  const { sha256 } = await databaseOf(deps, published)
  const path = pathOf(deps, published)
  const manifest = await deps.engines
    .get(published.model.engine)
    ?.blockManifest?.(path)
    .catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? gone(published) : error
    })
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

const gone = ({ model, version }: Published) =>
  new TeatreeError(
    'SNAPSHOT_GONE',
    `Version ${version.version} of model ${model.id} is no longer kept; read the newest.`,
  )
