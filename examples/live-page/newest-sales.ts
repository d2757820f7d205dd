/** The page of results that is shown: asked for once by the query, and again with all that ends by the subscription. */
const RESULTS = `fragment Results on SalesSnapshot {
  version
  cursor
  sales(orderBy: [{ column: date, direction: DESC }], first: 10) {
    totalCount
    nodes { orderId line date amount site { name } }
  }
}`

export const LOAD = `${RESULTS}
query Load($model: ID!) {
  salesModel(id: $model) { snapshot { ...Results } }
}`

/** It goes on behind `after`. Who was away is told of what ended meanwhile in pages of at most `pageSize`. */
export const FOLLOW = `${RESULTS}
subscription Follow($model: ID!, $after: String!) {
  completions(model: $model, after: $after, pageSize: 100) {
    cursor
    reset
    edges {
      node {
        ... on Intent { seq function status error { code message } }
        ... on QueryRun { id state }
      }
    }
    snapshot { ...Results }
  }
}`

export interface Results {
  version: number
  cursor: string
  sales: {
    totalCount: number
    nodes: { orderId: string; line: number; date: string; amount: string; site: { name: string } | null }[]
  }
}

export interface Loaded {
  salesModel: { snapshot: Results } | null
}

/** An intent or a query run that has ended. */
export interface Ended {
  node:
    | { seq: string; function: string; status: string; error: { code: string; message: string } | null }
    | { id: string; state: string }
}

export interface Followed {
  completions: { cursor: string; reset: boolean; edges: Ended[]; snapshot: Results }
}

/** What is shown, in whichever framework. */
export interface Screen {
  /** The state anew, at the beginning and at a reset: what was told before is no longer the whole story. */
  start(results: Results): void
  /** What has ended since, in its order and each once, and the results as they are now. */
  update(results: Results, ended: Ended[]): void
  /** It broke off, and is begun again: until the next update what is shown may be old. */
  away(reason: unknown): void
}

/** Errors that pass by themselves. With any other the same would only be refused again. */
const PASSING: unknown[] = ['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']

export interface GraphqlError {
  message: string
  extensions?: { code?: unknown }
}

export const isRefused = (errors: readonly GraphqlError[]): boolean =>
  errors.some(({ extensions }) => !PASSING.includes(extensions?.code))

/** A pause before the next try: longer the more have failed, and by chance, so that not all come back at the same moment. */
export const pause = (failures: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, Math.random() * Math.min(10_000, 1000 * 2 ** failures)))
