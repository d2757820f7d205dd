import { isUuid } from '../jobs/ledger.ts'
import type { Model, QueryRun } from '../jobs/records.ts'
import { TeatreeError } from '../platform/errors.ts'
import { answerPieces, FORMATS, formatOf } from './content-table.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import type { ContentDeps } from './published.ts'

/** `GET /content/MODEL/results/RUN.EXT`: the result of a query run, until it expires. */
export async function answerResult(
  exchange: Exchange,
  { services, line }: ContentDeps,
  model: Model,
  file: string,
): Promise<void> {
  const [, id = '', extension = ''] = /^([\w-]+)\.(\w+)$/.exec(file) ?? []
  const run = isUuid(id) ? await services.queryRuns.get(id) : null
  if (run?.model !== model.id || run.state !== 'DONE')
    throw new TeatreeError('NOT_FOUND', `Model ${model.id} has no result ${file}.`)
  const format = formatOf(extension)
  const { response, signal } = exchange
  const headers = {
    // It stays as it is, and is answered until it expires and no longer.
    'cache-control': 'private, no-cache',
    'content-type': FORMATS[format],
    'content-disposition': `attachment; filename="${run.id}.${format}"`,
  }
  if ((await services.results.content(run)).length === 0) throw services.results.gone(run)
  const answer = () =>
    format === 'parquet'
      ? answerParquet(exchange, services.results, run, headers)
      : answerPieces(exchange, services.results.stream(run, format, signal), headers)
  if (exchange.request.method === 'HEAD') response.writeHead(200, headers).end()
  else await line.run(answer, { signal })
}

/** As it is in the store, whole or in ranges. */
async function answerParquet(
  exchange: Exchange,
  results: ContentDeps['services']['results'],
  run: QueryRun,
  headers: Record<string, string>,
): Promise<void> {
  const { path, sha256 } = await results.file(run)
  if (!(await answerFile(exchange, { path, tag: `"${sha256}"`, headers }))) throw new Error(`${path} is gone`)
}
