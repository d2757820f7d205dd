import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { execute, subscribe } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'

/**
 * A process of its own: graphql-ws with graphql-yoga's publish and subscribe as their documentation puts them together. The
 * first message is the event that each subscriber is sent at once, each other one that of all subscribers of its topic.
 */
type Event = { topic: string; completions: unknown }

const pubSub = createPubSub<Record<string, [Event]>>()
let first: Event | undefined

const schema = createSchema({
  typeDefs: /* GraphQL */ `
    type Query { ready: Boolean! }
    type Subscription { completions(model: ID!): CompletionPage! }
    type CompletionPage { edges: [CompletionEdge!]! cursor: String! snapshot: Snapshot! }
    type CompletionEdge { node: Intent! }
    type Intent { id: ID! seq: String! status: String! endedAt: String! }
    type Snapshot { version: Int! sales: SaleConnection! }
    type SaleConnection { nodes: [Sale!]! pageInfo: PageInfo! }
    type PageInfo { hasNextPage: Boolean! endCursor: String }
    type Sale {
      orderId: String! line: Int! date: String! siteId: String! productId: String! customerId: String!
      salespersonId: String quantity: String! amount: String!
    }
  `,
  resolvers: {
    Query: { ready: () => true },
    Subscription: {
      completions: {
        async *subscribe(_: unknown, { model }: { model: string }) {
          const events = pubSub.subscribe(model)
          yield first
          yield* events
        },
      },
    },
  },
})
const yoga = createYoga({ schema, graphqlEndpoint: '/graphql' })
const server = createServer(yoga)
useServer(
  {
    execute: args => (args as { rootValue: { execute: typeof execute } }).rootValue.execute(args),
    subscribe: args => (args as { rootValue: { subscribe: typeof subscribe } }).rootValue.subscribe(args),
    async onSubscribe(context, _id, params) {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...context,
        req: context.extra.request,
        socket: context.extra.socket,
        params,
      })
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      }
      const errors = validate(args.schema, args.document)
      return errors.length > 0 ? errors : args
    },
  },
  new WebSocketServer({ server, path: '/graphql' }),
)

process.on('message', (event: Event) => {
  if (first) pubSub.publish(event.topic, event)
  else first = event
})
server.listen(0, '127.0.0.1', () =>
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }),
)
