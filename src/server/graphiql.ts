import { hash } from 'node:crypto'
import type { GraphiQLOptions } from 'graphql-yoga'
import { namesTag } from './byte-range.ts'
import type { Exchange } from './exchange.ts'
import { readyQueries } from './ready-queries.ts'

interface Page {
  html: Buffer
  tag: string
  policy: string
}

let page: Promise<Page> | undefined

/** Whether the request is a browser's, for a page to look at. */
export const wantsPage = ({ request }: Exchange): boolean =>
  request.method !== 'POST' && (request.headers.accept ?? '').includes('text/html')

/** GraphiQL: one page that has all it needs in it, and may fetch from nobody but us. */
export async function answerGraphiql({ request, response }: Exchange): Promise<void> {
  page ??= makePage()
  const { html, tag, policy } = await page
  const known = namesTag(request.headers['if-none-match'], tag)
  response.writeHead(known ? 304 : 200, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
    vary: 'accept',
    etag: tag,
    ...(!known && { 'content-length': html.length }),
  })
  response.end(known ? undefined : html)
}

/** What a person sees first is what is there; the other queries are in tabs beside it, which are called by their names. */
const optionsFor = (queries: readonly string[]): GraphiQLOptions => ({
  title: 'Teatree',
  ...(queries[0] !== undefined && { defaultQuery: queries[0] }),
  defaultTabs: queries.map(query => ({ query })),
  subscriptionsProtocol: 'WS',
  inputValueDeprecation: true,
  schemaDescription: true,
})

/** Megabytes of editor, which are loaded when somebody first wants to see them. */
async function makePage(): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const queries = await readyQueries()
  const html = renderGraphiQL(optionsFor(queries))
  return { html: Buffer.from(html), tag: `"${hash('sha256', html)}"`, policy: policyFor(html) }
}

/** The page's own script runs and no other; what it makes of itself are workers, styles and pictures. */
function policyFor(html: string): string {
  const script = html.slice(html.indexOf('<script>') + '<script>'.length, html.lastIndexOf('</script>'))
  return [
    "default-src 'none'",
    `script-src 'sha256-${hash('sha256', script, 'base64')}'`,
    'worker-src blob:',
    "style-src 'unsafe-inline'",
    'img-src data:',
    'font-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
