import { Client, CombinedError, createRequest, fetchExchange, subscriptionExchange } from '@urql/core'
import { createClient, type Sink } from 'graphql-ws'
import { fromPromise, pipe, takeUntil, toAsyncIterable } from 'wonka'
import { FOLLOW, type Followed, isRefused, LOAD, type Loaded, pause, type Screen } from './newest-sales.ts'

/** Says who calls, as headers and as the first message of a WebSocket; asked anew for each, so that it holds. */
export type Credentials = () => Promise<Record<string, string>>

/** One client, and one WebSocket, for all live pages of an application. `url` as in http://127.0.0.1:4000/graphql. */
export function connect(url: string, credentials: Credentials = async () => ({})): Client {
  let unanswered: ReturnType<typeof setTimeout> | undefined
  const socket = createClient({
    url: url.replace(/^http/, 'ws'),
    connectionParams: credentials,
    // It would come back with the variables of the first time, and be told all of it again. `follow` knows the last cursor.
    retryAttempts: 0,
    // Where the network goes away without a word, only a ping that is not answered tells.
    keepAlive: 10_000,
    on: {
      ping: received => {
        if (!received) unanswered = setTimeout(() => socket.terminate(), 5000)
      },
      pong: () => clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
  })
  return new Client({
    url,
    preferGetMethod: false,
    fetch: async (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...(await credentials()) } }),
    // No cache: it would answer the query with what was there before.
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables = {} }) => ({
          subscribe: sink => ({ unsubscribe: socket.subscribe({ query, variables }, sink as Sink) }),
        }),
      }),
    ],
  })
}

/**
 * Keeps the screen at the newest version until the signal aborts or the model is deleted. Whatever ends the connection, it
 * comes back and goes on behind the last cursor.
 * @throws CombinedError where the server refuses what is asked: that does not pass
 */
export async function follow(client: Client, model: string, screen: Screen, signal: AbortSignal): Promise<void> {
  let after: string | undefined
  const left = fromPromise(new Promise(resolve => signal.addEventListener('abort', resolve)))
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      if (after === undefined) {
        const { data, error } = await client.query<Loaded>(LOAD, { model }).toPromise()
        if (error) throw error
        if (signal.aborted || !data?.salesModel) return
        // The subscription begins where these results end, so nothing falls between the two.
        after = data.salesModel.snapshot.cursor
        screen.start(data.salesModel.snapshot)
      }
      // A key of its own: who asks the same as another would be given that one's events, and not those that came before.
      const request = { ...createRequest<Followed>(FOLLOW, { model, after }), key: Math.random() }
      const pages = pipe(client.executeSubscription(request), takeUntil(left), toAsyncIterable)
      for await (const { data, error } of pages) {
        if (error) throw error
        if (!data) continue
        const { cursor, reset, edges, snapshot } = data.completions
        // After a reset the cursor is that of now: what ended between is not kept any more.
        if (reset) screen.start(snapshot)
        else screen.update(snapshot, edges)
        after = cursor
        failures = 0
      }
      return
    } catch (error) {
      // A WebSocket that was closed is a network error. Whatever the code (1001 the server stops, 1013 the page was too
      // slow, 4403 the credentials have expired), the answer is to come back.
      if (error instanceof CombinedError && !error.networkError && isRefused(error.graphQLErrors)) throw error
      screen.away(error)
      await pause(failures)
    }
  }
}
