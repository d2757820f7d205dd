import { DATABASE_FILE, MANIFEST_FILE, mediaTypeOf, storedName } from '../jobs/content.ts'
import { versionGone } from '../jobs/version-leases.ts'
import { namesTag } from './byte-range.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import { type ContentDeps, immutable, type Published } from './published.ts'

/**
 * A file as which the version leaves the house, whole or in ranges. Where the store has it and can be asked for it without
 * us, the client is sent there, unless it says that it cannot reach the store (`?from=server`).
 */
export async function answerVersionFile(
  exchange: Exchange,
  deps: ContentDeps,
  published: Published,
  name: string,
): Promise<void> {
  const { services } = deps
  const { model, version } = published
  // Who asks for the manifest learns by its address what the version is: it is ours.
  const elsewhere = name === MANIFEST_FILE ? null : await storeUrl(exchange, deps, published, name)
  if (elsewhere !== null) return redirect(exchange, elsewhere)
  const open = await services.snapshots.open(version)
  try {
    const { path, sha256 } = await services.downloads.file(version, name)
    const headers = {
      // As with blocks: one that was kept would name files that are others by now.
      ...(name === MANIFEST_FILE ? { 'cache-control': 'no-cache' } : immutable(exchange)),
      'content-type': mediaTypeOf(name),
      'content-disposition': `attachment; filename="${model.id}-${version.version}${name === DATABASE_FILE ? '.duckdb' : `-${name}`}"`,
    }
    const answer = { path, tag: `"${sha256}"`, headers, check: open.check }
    if (!(await answerFile(exchange, answer))) throw versionGone(version)
  } finally {
    open.release()
  }
}

/**
 * By what a pull knows what to fetch. Of one file its block manifest: `{version, bytes, blockSize, blocks}`. It is of the file as it is now:
 * one that was kept would be asked for blocks that are not there any more, so it is asked again whether it is still the same. A
 * version that is several files has a manifest among them.
 */
export async function answerBlocks(
  exchange: Exchange,
  { services }: ContentDeps,
  { version }: Published,
): Promise<void> {
  const names = await services.downloads.names(version)
  if (names.includes(MANIFEST_FILE)) {
    const headers = { location: MANIFEST_FILE + exchange.url.search, 'cache-control': 'no-cache', 'content-length': 0 }
    exchange.response.writeHead(302, headers).end()
    return
  }
  const open = await services.snapshots.open(version)
  try {
    const { manifestPath, sha256 } = await services.downloads.file(version, DATABASE_FILE)
    const headers = { 'cache-control': 'no-cache', 'content-type': 'application/json; charset=utf-8' }
    const answer = { path: manifestPath ?? '', tag: `"${sha256}"`, headers }
    if (!(await answerFile(exchange, answer))) throw versionGone(version)
  } finally {
    open.release()
  }
}

/** Null also for one who only asks about the file, or has it already. */
async function storeUrl(
  { request, url }: Exchange,
  { services }: ContentDeps,
  { model, version }: Published,
  name: string,
): Promise<string | null> {
  if (request.method !== 'GET' || url.searchParams.get('from') === 'server') return null
  const files = await services.content.list({ model: model.id, version: version.version }, { limit: MAX_FILES })
  const stored = files.find(file => file.role === 'STORED' && file.name === storedName(name))
  // Of a version that was made again, the store may still have what it was before.
  const own = files.find(file => file.role === 'PUBLISHED' && file.name === name)
  if (own && own.sha256 !== stored?.sha256) return null
  if (!stored || namesTag(request.headers['if-none-match'], `"${stored.sha256}"`)) return null
  return services.content.storeUrl(stored)
}
/** A version has a few for each table; none comes near. */
const MAX_FILES = 10_000

/** 307, so that a range stays one. The address stops working after a while, so nobody keeps it. */
function redirect({ response }: Exchange, location: string): void {
  response.writeHead(307, { location, 'cache-control': 'no-store', 'content-length': 0 })
  response.end()
}
