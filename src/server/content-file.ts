import { versionGone } from '../jobs/version-leases.ts'
import { namesTag } from './byte-range.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import { type ContentDeps, immutable, type Published } from './published.ts'

/**
 * The version as one DuckDB file, whole or in ranges. Where the store has it and can be asked for it without us, the
 * client is sent there, unless it says that it cannot reach the store (`?from=server`).
 */
export async function answerDatabase(exchange: Exchange, deps: ContentDeps, published: Published): Promise<void> {
  const { services } = deps
  const { model, version } = published
  const elsewhere = await storeUrl(exchange, deps, published)
  if (elsewhere !== null) return redirect(exchange, elsewhere)
  const headers = {
    ...immutable(exchange),
    'content-type': 'application/vnd.duckdb',
    'content-disposition': `attachment; filename="${model.id}-${version.version}.duckdb"`,
  }
  const open = await services.snapshots.open(version)
  try {
    const { path, sha256 } = await services.downloads.of(version)
    const answer = { path, tag: `"${sha256}"`, headers, check: open.check }
    if (!(await answerFile(exchange, answer))) throw versionGone(version)
  } finally {
    open.release()
  }
}

/**
 * Its block manifest, by which a pull knows what to fetch: `{version, bytes, blockSize, blocks}`. It is of the file as it is now: one that
 * was kept would be asked for blocks that are not there any more, so it is asked again whether it is still the same.
 */
export async function answerBlocks(
  exchange: Exchange,
  { services }: ContentDeps,
  { version }: Published,
): Promise<void> {
  const open = await services.snapshots.open(version)
  try {
    const { manifestPath, sha256 } = await services.downloads.of(version)
    const headers = { 'cache-control': 'no-cache', 'content-type': 'application/json; charset=utf-8' }
    if (!(await answerFile(exchange, { path: manifestPath, tag: `"${sha256}"`, headers }))) throw versionGone(version)
  } finally {
    open.release()
  }
}

/** Null also for one who only asks about the file, or has it already. */
async function storeUrl(
  { request, url }: Exchange,
  { services }: ContentDeps,
  { model, version }: Published,
): Promise<string | null> {
  if (request.method !== 'GET' || url.searchParams.get('from') === 'server') return null
  const where = { model: model.id, version: version.version, form: 'DUCKDB' as const }
  const files = await services.content.list(where, { limit: MAX_FILES })
  const stored = files.find(({ role }) => role === 'STORED')
  if (!stored || namesTag(request.headers['if-none-match'], `"${stored.sha256}"`)) return null
  return services.content.storeUrl(stored)
}
/** A version has a handful of its own form. */
const MAX_FILES = 100

/** 307, so that a range stays one. The address stops working after a while, so nobody keeps it. */
function redirect({ response }: Exchange, location: string): void {
  response.writeHead(307, { location, 'cache-control': 'no-store', 'content-length': 0 })
  response.end()
}
