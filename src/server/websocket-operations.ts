import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST } from 'graphql'
import type { Context, ServerOptions, SubscribePayload } from 'graphql-ws'
import { readTraceparent } from '../platform/telemetry/index.ts'
import type { Caller } from './callers.ts'
import { cancellable } from './cancellable.ts'
import type { GraphqlServer } from './graphql.ts'
import type { Transport } from './operations.ts'
import { endOf, nextMessage } from './result-texts.ts'

/** One WebSocket. */
export interface Connection {
  /** The ids of its operations that end with one answer, which a shutdown waits for. */
  readonly answering: Set<string>
  /** Sends a message; see Outbox. */
  send(text: string, end?: Buffer): Promise<void> | undefined
  /** Who it is of, told by its first message. */
  identify(params: Params): Promise<boolean>
  caller: Caller | null
}

/** What one connection may have under way at once. */
const MAX_OPERATIONS = 500

type Params = Record<string, unknown> | undefined

/** What graphql-ws is to do with the operations of a connection. */
export function operationsOver(graphql: GraphqlServer): ServerOptions<Params, Connection> {
  const { execute, subscribe } = graphql.getEnveloped()
  const ended = ({ extra }: Context<Params, Connection>, id: string) => {
    extra.answering.delete(id)
  }
  return {
    onConnect: ({ connectionParams, extra }) => extra.identify(connectionParams),
    onSubscribe(context, id, payload) {
      if (Object.keys(context.subscriptions).length > MAX_OPERATIONS) return [tooMany()]
      const { signal, handle } = cancellable()
      context.subscriptions[id] = handle
      const parent = readTraceparent(text(payload.extensions?.traceparent)) ?? null
      const { extra } = context
      const begun = nextMessage(id)
      const send = (result: ExecutionResult) => extra.send(begun, endOf(result))
      const args = prepare(graphql, payload, { signal, parent, user: extra.caller?.user ?? null, send })
      if (Array.isArray(args)) return args
      if (getOperationAST(args.document, args.operationName)?.operation !== 'subscription') extra.answering.add(id)
      return args
    },
    execute,
    subscribe,
    onComplete: ended,
    onError: ended,
  }
}

const tooMany = () =>
  new GraphQLError(`A connection may have ${MAX_OPERATIONS} operations at once.`, {
    extensions: { code: 'RATE_LIMITED' },
  })

/** Parsed and validated as over HTTP, or with what is wrong with it. */
function prepare(
  graphql: GraphqlServer,
  payload: SubscribePayload,
  transport: Transport,
): ExecutionArgs | GraphQLError[] {
  const { schema, parse, validate } = graphql.getEnveloped({ ...transport, params: payload })
  try {
    const document = parse(payload.query)
    const errors = validate(schema, document)
    if (errors.length > 0) return errors.map(withoutStatus)
    const { operationName, variables: variableValues } = payload
    return { schema, document, operationName, variableValues, contextValue: transport }
  } catch (error) {
    if (error instanceof GraphQLError) return [withoutStatus(error)]
    throw error
  }
}

/** The error without what it means to HTTP. Others may have it too: errors are kept with their documents. */
function withoutStatus({ message, nodes, source, positions, extensions }: GraphQLError): GraphQLError {
  const { http: _, ...shown } = extensions
  return new GraphQLError(message, { nodes, source, positions, extensions: shown })
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
