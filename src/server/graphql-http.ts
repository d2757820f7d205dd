import { hash } from 'node:crypto'
import { TeatreeError } from '../platform/errors.ts'
import { readTraceparent, SpanKind, span } from '../platform/telemetry/index.ts'
import type { Reading } from '../resolvers/index.ts'
import { wholeBody } from './body.ts'
import { namesTag } from './byte-range.ts'
import { type Caller, type Identify, identified } from './callers.ts'
import { EVENT_STREAM, sendEvents } from './event-source.ts'
import type { Exchange, Handler } from './exchange.ts'
import { GRAPHQL_PATH, type GraphqlServer, MAX_REQUEST_BYTES } from './graphql.ts'
import { KeptAnswers, type WholeAnswer } from './kept-answers.ts'

/** What has a longer body holds data, and does not come again. */
const MAX_ASKED_BYTES = 64 << 10

type Body = Buffer<ArrayBuffer> | undefined

/** `/graphql` over HTTP: JSON, or server-sent events for one that accepts them. */
export function answerGraphql(graphql: GraphqlServer, identify: Identify, answers = new KeptAnswers()): Handler {
  return async exchange => {
    const { request, signal } = exchange
    const caller = await identified(identify, { headers: request.headers })
    const body = request.method === 'POST' ? await requestBody(exchange) : undefined
    const asked = askedIn(exchange, caller, body)
    const method = request.method ?? ''
    const kind = SpanKind.SERVER
    const parent = readTraceparent(request.headers.traceparent?.toString()) ?? null
    const attributes = { 'http.request.method': method, 'http.route': GRAPHQL_PATH }
    const answer = await span(`${method} ${GRAPHQL_PATH}`, { kind, parent, attributes }, async span => {
      const kept = asked === null ? null : await answers.find(asked, signal)
      span.setAttribute('teatree.answer.kept', kept !== null)
      const { answer, reading } = kept ? { answer: kept, reading: null } : await make(graphql, exchange, caller, body)
      if ('lasts' in answer && reading && asked !== null) answers.keep(asked, answer, reading)
      span.setAttribute('http.response.status_code', answer.status)
      return answer
    })
    await ('lasts' in answer ? sendWhole(exchange, answer) : sendStream(exchange, answer, caller))
  }
}

/** JSON alone: a page of another site can send a browser's simple requests, and none of those is JSON. */
function requestBody(exchange: Exchange): Promise<Buffer<ArrayBuffer>> {
  if (!/^application\/(graphql\+)?json\b/i.test(exchange.request.headers['content-type'] ?? ''))
    throw new TeatreeError('WRONG_FORMAT', `POST ${GRAPHQL_PATH} takes application/json.`)
  const message = `A request may have ${MAX_REQUEST_BYTES} bytes; upload rows with POST /uploads and import them.`
  return wholeBody(exchange, MAX_REQUEST_BYTES, () => new TeatreeError('QUERY_TOO_LARGE', message))
}

/**
 * All that an answer is made of: who asks, how it is asked for, and what. Null for what does not come again.
 */
function askedIn({ request, url }: Exchange, { user }: Caller, body: Body): string | null {
  if ((body?.length ?? 0) > MAX_ASKED_BYTES) return null
  return [JSON.stringify(user), request.method, request.headers.accept, url.search, body?.toString('latin1')].join('\n')
}

/** An answer with what it was read from, where it is of versions alone; or one that comes piece by piece. */
async function make(
  graphql: GraphqlServer,
  { request, url, signal }: Exchange,
  { user }: Caller,
  body: Body,
): Promise<{ answer: WholeAnswer | Response; reading: Reading | null }> {
  const method = request.method ?? ''
  const headers = request.headers as Record<string, string>
  const seen: { reading: Reading | null; lasts: boolean } = { reading: null, lasts: false }
  const onOfVersions = (reading: Reading, isLasting: () => boolean) => {
    seen.reading = reading
    seen.lasts = isGet(request) && isLasting()
  }
  const lastEventId = request.headers['last-event-id']?.toString()
  const asked = new graphql.fetchAPI.Request(url.href, { method, headers, ...(body && { body }) })
  const answer = await graphql.fetch(asked, { signal, user, onOfVersions, ...(lastEventId && { lastEventId }) })
  if (answer.body && answer.headers.get('content-type')?.startsWith(EVENT_STREAM)) return { answer, reading: null }
  const bytes = Buffer.from(await answer.arrayBuffer())
  const { reading, lasts } = seen
  return {
    answer: { status: answer.status, headers: Object.fromEntries(answer.headers), bytes, lasts },
    reading: answer.status === 200 && reading?.isComplete ? reading : null,
  }
}

const isGet = ({ method }: Exchange['request']): boolean => method === 'GET' || method === 'HEAD'

/** A browser that wants a page gets one at the same address: so the answer varies with what is accepted. */
const COMMON = { 'cache-control': 'no-store', vary: 'accept' }

function sendWhole({ request, response }: Exchange, { status, headers, bytes, lasts }: WholeAnswer): void {
  const head: Record<string, string | number> = { ...headers, ...COMMON, 'content-length': bytes.length }
  if (isGet(request) && status === 200) {
    const tag = `"${hash('sha256', bytes, 'base64url')}"`
    head.etag = tag
    // Whoever may read it may keep it, and nobody between them and us.
    head['cache-control'] = lasts ? 'private, max-age=31536000, immutable' : 'private, no-cache'
    if (namesTag(request.headers['if-none-match'], tag)) {
      delete head['content-length']
      response.writeHead(304, head).end()
      return
    }
  }
  response.writeHead(status, head)
  response.end(bytes)
}

async function sendStream(exchange: Exchange, answer: Response, caller: Caller): Promise<void> {
  const headers = { 'cache-control': COMMON['cache-control'], ...Object.fromEntries(answer.headers), vary: COMMON.vary }
  exchange.response.writeHead(answer.status, headers)
  if (answer.body) await sendEvents(exchange, answer.body, caller)
}
