import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema, createYoga } from 'graphql-yoga'

/**
 * GraphQL Yoga with graphql-js as they come, in a process of its own, over plain objects of the pages that the parent has
 * put into a file, by name; tells its URL when it is ready.
 */
const pages = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as Record<string, unknown>
const typeDefs = `
  scalar JSON
  type Query { rows: Rows! references: Rows! groups: Groups! diff: Diffs! sql: SqlResult! }
  type Rows { nodes: [Sale!]! }
  type Sale { orderId: String! line: Int! date: String! siteId: String! productId: String! customerId: String!
    salespersonId: String quantity: String! amount: String! site: Site product: Product }
  type Site { name: String! region: String }
  type Product { name: String! category: String }
  type Groups { nodes: [Aggregate!]! }
  type Aggregate { group: Group! count: String! sum: Values avg: Means min: Values max: Values }
  type Group { date: String productId: String }
  type Values { quantity: String amount: String }
  type Means { quantity: Float amount: Float }
  type Diffs { nodes: [Diff!]! }
  type Diff { change: String! before: Sale after: Sale }
  type SqlResult { rows: [[JSON]!]! }
`
const Query = Object.fromEntries(Object.entries(pages).map(([name, page]) => [name, () => page]))
const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers: { Query } }), logging: false, graphiql: false })
const server = createServer(yoga)
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql\n`)
})
