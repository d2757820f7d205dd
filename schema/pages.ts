import { inPieces } from '../src/platform/turns.ts'
import type { ArgumentBuilder, Builder, ObjectRef, Types } from './builder.ts'
import type { Edge, Page, PageInfo } from './shapes.ts'

/** The arguments of a connection that is read from its start. */
export const forward = (arg: ArgumentBuilder) => ({
  first: arg.int({ description: 'How many, from 1 to 1000; 50 where left out.' }),
  after: arg.string({ description: 'The cursor to go on behind.' }),
})

/** The arguments of a connection that can be read from either end. */
export const bothWays = (arg: ArgumentBuilder) => ({
  first: arg.int({ description: 'How many from the start, from 1 to 1000; 50 where neither first nor last is given.' }),
  after: arg.string({ description: 'Only what comes behind this cursor.' }),
  last: arg.int({ description: 'How many from the end, instead of first.' }),
  before: arg.string({ description: 'Only what comes before this cursor.' }),
})

export function addPageInfo(builder: Builder): void {
  builder.objectType('PageInfo', {
    description: 'Where a page lies among the others.',
    fields: t => ({
      hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether there is more behind it.' }),
      hasPreviousPage: t.exposeBoolean('hasPreviousPage', { description: 'Whether there is more before it.' }),
      startCursor: t.exposeString('startCursor', { nullable: true, description: 'Of the first edge.' }),
      endCursor: t.exposeString('endCursor', {
        nullable: true,
        description: 'Of the last edge; give it as after for the next page.',
      }),
    }),
  })
}

interface ConnectionOptions {
  /** Its name without `Connection`: `Sale`. */
  name: string
  /** What it holds, for descriptions: `Sales`. */
  of: string
  /** The type of totalCount; none where nobody counts. */
  total?: 'Int' | 'BigInt'
}

/** The types `NAMEConnection` and `NAMEEdge` over `node`, a type by name or reference. */
export function addConnection<P extends Page<unknown>>(
  builder: Builder,
  node: ObjectRef<P extends Page<infer T> ? T : never> | keyof Types['Objects'] | keyof Types['Interfaces'],
  { name, of, total }: ConnectionOptions,
): ObjectRef<P> {
  // The compiler cannot follow a node's type through two generic types; addConnection's own signature says it.
  const type = node as ObjectRef<unknown>
  const edge = builder.objectRef<Edge<unknown>>(`${name}Edge`).implement({
    description: `One of a page, with its place in the order.`,
    fields: t => ({
      cursor: t.string({ description: 'Its place in the order; opaque.', resolve: ({ cursor }) => cursor() }),
      node: t.field({ type, description: `The ${name} itself.`, resolve: ({ node }) => node }),
    }),
  })
  const connection = builder.objectRef<P>(`${name}Connection`)
  connection.implement({
    description: `${of}, page by page.`,
    fields: t => ({
      edges: t.field({
        type: [edge],
        description: 'The page, each with its cursor.',
        resolve: async page => inPieces((await page.read()).edges),
      }),
      nodes: t.field({
        type: [type],
        description: 'The page without cursors.',
        resolve: async page => inPieces((await page.read()).edges.map(({ node }) => node)),
      }),
      pageInfo: t.field({
        type: 'PageInfo',
        description: 'Where the page lies among the others.',
        resolve: async page => pageInfo(await page.read()),
      }),
      ...(total === undefined
        ? {}
        : {
            totalCount: t.field({
              type: total,
              description: 'How many there are over all pages; counted when it is selected.',
              resolve: async page => {
                const count = await page.totalCount()
                return total === 'Int' ? Number(count) : count
              },
            }),
          }),
    }),
  })
  return connection
}

export function pageInfo(page: {
  edges: readonly Edge<unknown>[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}): PageInfo {
  const { edges, hasNextPage, hasPreviousPage } = page
  return {
    hasNextPage,
    hasPreviousPage,
    startCursor: edges[0]?.cursor() ?? null,
    endCursor: edges.at(-1)?.cursor() ?? null,
  }
}
