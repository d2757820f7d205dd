import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'

/**
 * What a client is shown of an error: a TeatreeError with `extensions` `{code, cells?, details?}`; GraphQL's own errors as
 * they are; of anything else INTERNAL with an id, under which the log has it.
 */
export function formatError(log: Pick<Log, 'error'>): (error: unknown) => GraphQLError {
  return error => {
    const cause = causeOf(error)
    if (cause instanceof TeatreeError) return shown(error, cause)
    if (isUnholdable(cause))
      return shown(error, new TeatreeError('BAD_VALUE', 'A text holds the character U+0000, which no text can hold.'))
    if (cause instanceof GraphQLError) return error instanceof GraphQLError ? error : cause
    // Nobody waits for the answer any more.
    if (cause instanceof Error && cause.name === 'AbortError')
      return shown(error, new TeatreeError('UNAVAILABLE', 'The request was aborted.'))
    const id = randomUUID()
    const path = error instanceof GraphQLError ? error.path?.join('.') : undefined
    log.error({ err: cause, id, path }, 'a request failed by a fault of ours')
    return shown(error, new TeatreeError('INTERNAL', `A fault of the server; its log has it under ${id}.`))
  }
}

/** PostgreSQL's code for text that it cannot hold: an id or a name that came from the client. */
const isUnholdable = (cause: unknown): boolean => (cause as { code?: unknown } | null)?.code === '22021'

/** What GraphQL wrapped on the way out of a resolver. */
function causeOf(error: unknown): unknown {
  let cause = error
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError
  return cause
}

function shown(error: unknown, { code, message, cells, details }: TeatreeError): GraphQLError {
  const { nodes, source, positions, path } = error instanceof GraphQLError ? error : {}
  return new GraphQLError(message, {
    nodes,
    source,
    positions,
    path,
    extensions: { code, ...(cells.length > 0 && { cells }), ...(details && { details }) },
  })
}
