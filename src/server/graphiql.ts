import { hash } from 'node:crypto'
import type { GraphiQLOptions } from 'graphql-yoga'
import { namesTag } from './byte-range.ts'
import type { Exchange } from './exchange.ts'

/** What a person sees first: what is there. */
export const MODELS_QUERY = `# What is there. Run it with Ctrl-Enter; the book on the left has the whole schema.
query Models {
  kinds {
    name
    description
    tables { name }
    functions { name }
  }
  models(first: 20) {
    totalCount
    nodes {
      id
      name
      kind { name }
      version
      manager { state queued }
    }
  }
}
`
/** And, in the second tab, what happens. */
export const LIVE_QUERY = `# What happens, as it happens: all models first, then each that changes.
subscription Live {
  modelChanges {
    id
    name
    version
    manager { state queued archiveLag }
  }
}
`

const OPTIONS: GraphiQLOptions = {
  title: 'Teatree',
  defaultQuery: MODELS_QUERY,
  defaultTabs: [{ query: MODELS_QUERY }, { query: LIVE_QUERY }],
  subscriptionsProtocol: 'WS',
  inputValueDeprecation: true,
  schemaDescription: true,
}

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
    etag: tag,
    ...(!known && { 'content-length': html.length }),
  })
  response.end(known ? undefined : html)
}

/** Megabytes of editor, which are loaded when somebody first wants to see them. */
async function makePage(): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const html = renderGraphiQL(OPTIONS)
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
