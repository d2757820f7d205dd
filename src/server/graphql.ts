import { GraphQLError, type GraphQLSchema } from 'graphql'
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga'
import type { Services } from '../jobs/services.ts'
import { ERRORS } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { formatError } from '../resolvers/index.ts'
import { Deliveries } from './deliveries.ts'
import { DocumentCache } from './documents.ts'
import { useEventIds } from './event-source.ts'
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
  const shown = (error: unknown) => coded(format(error))
  const deliveries = new Deliveries(deps.services, shown)
  return createYoga<Transport, Transport>({
    schema: deps.schema,
    graphqlEndpoint: GRAPHQL_PATH,
    plugins: [useLimits(), ...deps.plugins, useOperations(deps.services, deliveries), useCodes(), useEventIds()],
    parserAndValidationCache: { documentCache: new DocumentCache(), errorCache: new DocumentCache() },
    maskedErrors: { maskError: shown },
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

function useOperations(services: Services, deliveries: Deliveries): Plugin<Transport> {
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
