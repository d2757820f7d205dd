import { DATABASE_FILE, isPartName } from '../jobs/content.ts'
import { noModel } from '../jobs/ledger.ts'
import { RESULTS } from '../jobs/links.ts'
import { VersionLost } from '../jobs/lost.ts'
import type { Model, Version } from '../jobs/records.ts'
import { TeatreeError } from '../platform/errors.ts'
import { answerBlocks, answerVersionFile } from './content-file.ts'
import { answerResult } from './content-result.ts'
import { answerTable } from './content-table.ts'
import type { Exchange, Route } from './exchange.ts'
import type { ContentDeps } from './published.ts'

/** `GET /content/MODEL/VERSION/…`: the files and tables of a version; VERSION may be `latest`. `results` has those of query runs. */
export const contentRoute = (deps: ContentDeps): Route => ({
  method: 'GET',
  path: '/content/:model/:version/:file',
  async handle(exchange) {
    const { model: id = '', version = '', file = '' } = exchange.params
    deps.services.links.check({ model: id, version, file }, exchange.url.searchParams)
    // Not all that can stand in a path can stand in a question to the database.
    const model = /^[a-z0-9-]+$/.test(id) ? await deps.services.models.get(id) : null
    if (!model) throw noModel(id)
    if (version === 'latest') return redirect(exchange, `../${model.version}/${encodeURIComponent(file)}`)
    if (version === RESULTS) return answerResult(exchange, deps, model, file)
    const published = { model, version: await find(deps, model, version, exchange.signal) }
    if (file === DATABASE_FILE || isPartName(file)) return answerVersionFile(exchange, deps, published, file)
    if (file === 'blocks') return answerBlocks(exchange, deps, published)
    return answerTable(exchange, deps, published, file)
  },
})

/** @throws TeatreeError NOT_FOUND, SNAPSHOT_GONE where it is no longer kept, UNAVAILABLE while it is made again */
async function find({ services }: ContentDeps, model: Model, version: string, signal: AbortSignal): Promise<Version> {
  const number = /^\d{1,9}$/.test(version) ? Number(version) : Number.NaN
  if (number <= model.version) {
    const found = await services.snapshots.find(model.id, { version: number }, 0, signal)
    if (found.lost) throw new VersionLost(found)
    return found
  }
  throw new TeatreeError('NOT_FOUND', `Model ${model.id} has no version ${version}; the newest is ${model.version}.`)
}

/** Relative to what was asked for: a proxy may have us below a path of its own. */
function redirect({ response, url }: Exchange, path: string): void {
  response.writeHead(302, { location: path + url.search, 'cache-control': 'no-cache', 'content-length': 0 })
  response.end()
}
