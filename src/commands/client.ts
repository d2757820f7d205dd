import { UsageError } from '../platform/errors.ts'
import { boundedText } from './bounded-body.ts'

/** How a client command reaches a server: the URL of its GraphQL endpoint, and a token where it asks for one. */
export interface Server {
  url: string
  token?: string
  /** Ends what is under way. */
  signal?: AbortSignal
}

/** An error of the server's answer, by its code. */
export class AnsweredError extends UsageError {
  readonly code: string

  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

/** No answer that a command asks for comes near. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20

/** What is longer, or breaks off, is told; what is no JSON is no answer of ours. */
const notJson = (error: unknown): object => {
  if (error instanceof SyntaxError) return {}
  throw error
}

/** Nobody answers at the address. */
export class Unreachable extends UsageError {}

interface Answer<T> {
  data?: T | null
  errors?: { message: string; extensions?: { code?: string } }[]
}

/** One GraphQL operation over HTTP. Errors of the answer are an AnsweredError: what a person at the command line reads. */
export async function graphql<T>(server: Server, query: string, variables: Record<string, unknown> = {}): Promise<T> {
  const response = await fetchFrom(server, server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...authorization(server) },
    body: JSON.stringify({ query, variables }),
  })
  const answer = (await boundedText(response, MAX_ANSWER_BYTES).then(JSON.parse).catch(notJson)) as Answer<T>
  const [error] = answer.errors ?? []
  if (error) throw new AnsweredError(error.extensions?.code ?? 'error', error.message)
  if (!response.ok || !answer.data)
    throw new UsageError(`${server.url} answered ${response.status}; is it a Teatree server?`)
  return answer.data
}

/** Uploads a body; `onBytes` hears how many have gone out. Answers with the upload's id. */
export async function upload(
  server: Server,
  body: AsyncIterable<Uint8Array>,
  options: { bytes?: number; onBytes?: (sent: number) => void } = {},
): Promise<string> {
  let sent = 0
  const counted = (async function* () {
    for await (const chunk of body) {
      sent += chunk.length
      options.onBytes?.(sent)
      yield chunk
    }
  })()
  const response = await fetchFrom(server, new URL('/uploads', server.url).href, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', ...authorization(server) },
    body: streamOf(counted),
    duplex: 'half',
  })
  const answer = (await response.json().catch(() => ({}))) as { id?: string; error?: { code: string; message: string } }
  if (answer.id !== undefined) return answer.id
  throw new UsageError(
    answer.error ? `${answer.error.code}: ${answer.error.message}` : `the upload was answered with ${response.status}`,
  )
}

const streamOf = (chunks: AsyncIterable<Uint8Array>) =>
  (globalThis.ReadableStream as unknown as { from(chunks: AsyncIterable<Uint8Array>): ReadableStream }).from(chunks)

export const authorization = ({ token }: Server): Record<string, string> =>
  token ? { authorization: `Bearer ${token}` } : {}

/** @throws Unreachable */
export async function fetchFrom(
  { signal }: Server,
  url: string,
  init: RequestInit & { duplex?: 'half' },
): Promise<Response> {
  try {
    return await fetch(url, signal ? { ...init, signal } : init)
  } catch (error) {
    if (signal?.aborted) throw new UsageError('stopped')
    throw new Unreachable(`no server answers at ${url}; start one with npm start, or say where with --server`, {
      cause: error,
    })
  }
}

/** What a command line needs of an intent. */
export interface IntentState {
  id: string
  status: string
  step: string | null
  progress: number | null
  version: number | null
  result: Record<string, unknown> | null
  error: {
    code: string
    message: string
    cells: { row: string | null; line: string | null; column: string | null; message: string }[]
  } | null
}
const INTENT = 'id status step progress version result error { code message cells { row line column message } }'

/** Submits a mutation and waits until its intent has ended; a refusal is a UsageError that names the first cells at fault. */
export async function submit(
  server: Server,
  mutation: { name: string; types: string; variables: Record<string, unknown> },
  onState: (state: IntentState) => void = () => {},
): Promise<IntentState> {
  const given = Object.keys(mutation.variables)
    .map(name => `${name}: $${name}`)
    .join(', ')
  const text = `mutation (${mutation.types}) { intent: ${mutation.name}(${given}) { ${INTENT} } }`
  let { intent } = await graphql<{ intent: IntentState }>(server, text, mutation.variables)
  while (intent.status === 'QUEUED' || intent.status === 'RUNNING') {
    onState(intent)
    const again = await graphql<{ intent: IntentState }>(
      server,
      `query ($id: ID!) { intent(id: $id, waitMs: 500) { ${INTENT} } }`,
      { id: intent.id },
    )
    intent = again.intent
  }
  onState(intent)
  if (intent.status === 'PUBLISHED') return intent
  const cells = intent.error?.cells
    .slice(0, 5)
    .map(
      ({ row, line, column, message }) =>
        `\n  row ${row ?? '?'}${line ? `, line ${line}` : ''}, ${column ?? '?'}: ${message}`,
    )
  throw new UsageError(
    `the intent is ${intent.status}: ${intent.error?.code}: ${intent.error?.message}${cells?.join('') ?? ''}`,
  )
}
