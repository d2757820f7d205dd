import { hash } from 'node:crypto'
import { GraphQLError, type GraphQLSchema } from 'graphql'
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga'
import type { Services } from '../jobs/services.ts'
import { ERRORS, TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { readTraceparent, SpanKind, span } from '../platform/telemetry/index.ts'
import { formatError } from '../resolvers/index.ts'
import { wholeBody } from './body.ts'
import { namesTag } from './byte-range.ts'
import { type Identify, identified } from './callers.ts'
import { Deliveries } from './deliveries.ts'
import { DocumentCache } from './documents.ts'
import { EVENT_STREAM, sendEvents, useEventIds } from './event-source.ts'
import type { Exchange, Handler } from './exchange.ts'
import { useLimits } from './limits.ts'
import { follow, run, type Transport } from './operations.ts'

export const GRAPHQL_PATH = '/graphql'
/** Of a request over HTTP, and of a message over a WebSocket. */
export const MAX_REQUEST_BYTES = 16 << 20

export type GraphqlServer = YogaServerInstance<Transport, Transport>

/** GraphQL itself: parses, validates, executes, and tells errors; the same for every transport. */
export function createGraphql(deps: {
  schema: GraphQLSchema
  services: Services
  log: Log
  plugins: readonly Plugin[]
}): GraphqlServer {
  const format = formatError(deps.log)
  return createYoga<Transport, Transport>({
    schema: deps.schema,
    graphqlEndpoint: GRAPHQL_PATH,
    plugins: [useLimits(), ...deps.plugins, useOperations(deps.services), useCodes(), useEventIds()],
    parserAndValidationCache: { documentCache: new DocumentCache(), errorCache: new DocumentCache() },
    maskedErrors: { maskError: error => coded(format(error)) },
    // The page that we serve has no part of another host; a page of another host may not call us.
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    maxRequestBodySize: false,
    // What goes wrong is in the log by then: formatError sees to it.
    logging: false,
  })
}

function useOperations(services: Services): Plugin<Transport> {
  const deliveries = new Deliveries(services)
  return {
    onExecute: ({ setExecuteFn }) => setExecuteFn(args => run(services, args)),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(args => follow({ services, deliveries }, args)),
  }
}

/** Requests and documents that do not parse, or do not fit the schema, are told with a code of ours too. */
function useCodes(): Plugin {
  return {
    onRequestParse({ requestParser, setRequestParser }) {
      if (requestParser) setRequestParser(async request => readable(() => requestParser(request)))
    },
    onParse:
      () =>
      ({ result }) => {
        if (result instanceof GraphQLError) coded(result)
      },
    onValidate:
      () =>
      ({ result }) => {
        for (const error of result) coded(error)
      },
  }
}

/** What was read of a request. Its JSON is in the body, or in the URL's variables and extensions. */
async function readable<T>(read: () => T): Promise<Awaited<T>> {
  try {
    return await read()
  } catch (error) {
    // The parser's own words are added to what is said of a body, and are all that is said of a URL.
    if (!(error instanceof SyntaxError || (error instanceof GraphQLError && 'originalError' in error.extensions)))
      throw error
    throw new GraphQLError('The request holds JSON that cannot be read.', {
      extensions: { code: 'BAD_VALUE', http: { status: ERRORS.BAD_VALUE.status } },
    })
  }
}

/** Errors of GraphQL's own making have no code, or one of these; with them the request alone was wrong. */
const FOREIGN_CODES: readonly unknown[] = [
  undefined,
  'BAD_REQUEST',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
]

function coded(error: GraphQLError): GraphQLError {
  if (FOREIGN_CODES.includes(error.extensions.code)) error.extensions.code = 'BAD_VALUE'
  return error
}

/** `/graphql` over HTTP: JSON, or server-sent events for one that accepts them. */
export const answerGraphql =
  (graphql: GraphqlServer, identify: Identify): Handler =>
  async exchange => {
    const { request, signal, url } = exchange
    const caller = await identified(identify, { headers: request.headers })
    const body = request.method === 'POST' ? await requestBody(exchange) : undefined
    const method = request.method ?? ''
    const kind = SpanKind.SERVER
    const parent = readTraceparent(request.headers.traceparent?.toString()) ?? null
    const attributes = { 'http.request.method': method, 'http.route': GRAPHQL_PATH }
    const headers = request.headers as Record<string, string>
    const kept: AnswerKept = { lasts: false }
    const isGet = method === 'GET' || method === 'HEAD'
    const onLasting = () => {
      kept.lasts = true
    }
    const lastEventId = request.headers['last-event-id']?.toString()
    const transport = { signal, user: caller.user, ...(lastEventId && { lastEventId }), ...(isGet && { onLasting }) }
    const asked = new graphql.fetchAPI.Request(url.href, { method, headers, ...(body && { body }) })
    const answer = await span(`${method} ${GRAPHQL_PATH}`, { kind, parent, attributes }, async span => {
      const answer = await graphql.fetch(asked, transport)
      span.setAttribute('http.response.status_code', answer.status)
      return answer
    })
    setHeaders(exchange, answer)
    if (answer.body && answer.headers.get('content-type')?.startsWith(EVENT_STREAM)) {
      exchange.response.writeHead(answer.status)
      await sendEvents(exchange, answer.body, caller)
    } else await send(exchange, answer, isGet ? kept : null)
  }

/** JSON alone: a page of another site can send a browser's simple requests, and none of those is JSON. */
function requestBody(exchange: Exchange): Promise<Buffer<ArrayBuffer>> {
  if (!/^application\/(graphql\+)?json\b/i.test(exchange.request.headers['content-type'] ?? ''))
    throw new TeatreeError('WRONG_FORMAT', `POST ${GRAPHQL_PATH} takes application/json.`)
  const message = `A request may have ${MAX_REQUEST_BYTES} bytes; upload rows with POST /uploads and import them.`
  return wholeBody(exchange, MAX_REQUEST_BYTES, () => new TeatreeError('QUERY_TOO_LARGE', message))
}

/** Of an answer that a client may keep. */
interface AnswerKept {
  /** Whether it never changes; else it is asked for again, and answered with 304 where it is the same. */
  lasts: boolean
}

async function send({ request, response }: Exchange, answer: Response, kept: AnswerKept | null): Promise<void> {
  const bytes = Buffer.from(await answer.arrayBuffer())
  if (kept && answer.status === 200) {
    const tag = `"${hash('sha256', bytes, 'base64url')}"`
    response.setHeader('etag', tag)
    // Whoever may read it may keep it, and nobody between them and us.
    response.setHeader('cache-control', kept.lasts ? 'private, max-age=31536000, immutable' : 'private, no-cache')
    if (namesTag(request.headers['if-none-match'], tag)) {
      response.writeHead(304).end()
      return
    }
  }
  response.writeHead(answer.status, { 'content-length': bytes.length })
  response.end(bytes)
}

function setHeaders({ response }: Exchange, { headers }: Response): void {
  response.setHeader('cache-control', 'no-store')
  response.setHeaders(headers)
  // A browser that wants a page gets one at the same address.
  response.setHeader('vary', 'accept')
}
