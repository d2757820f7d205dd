import {
  FOLLOW,
  type Followed,
  type GraphqlError,
  isRefused,
  LOAD,
  type Loaded,
  pause,
  type Screen,
} from './newest-sales.ts'

interface Answer<T> {
  data?: T | null
  errors?: GraphqlError[]
}

/**
 * Keeps the screen at the newest version until the signal aborts or the model is deleted, with nothing but what browsers have.
 * `url` as in http://127.0.0.1:4000/graphql; who calls is said by a cookie, since an EventSource sends no headers.
 * @throws Refused where the server refuses what is asked: that does not pass
 */
export async function follow(url: string, model: string, screen: Screen, signal: AbortSignal): Promise<void> {
  let after: string | undefined
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      if (after === undefined) {
        const response = await fetch(addressOf(url, LOAD, { model }), { signal })
        const { salesModel } = dataOf<Loaded>(await response.json())
        if (!salesModel) return
        // The subscription begins where these results end, so nothing falls between the two.
        after = salesModel.snapshot.cursor
        screen.start(salesModel.snapshot)
      }
      signal.throwIfAborted()
      await listen(new EventSource(addressOf(url, FOLLOW, { model, after })), signal, screen, event => {
        const { reset, edges, snapshot } = dataOf<Followed>(JSON.parse(event.data)).completions
        // After a reset the id is that of now: what ended between is not kept any more.
        if (reset) screen.start(snapshot)
        else screen.update(snapshot, edges)
        after = event.lastEventId
        failures = 0
      })
      return
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof Refused) throw error
      screen.away(error)
      await pause(failures)
    }
  }
}

/**
 * Hands each event on. Settles when there is nothing more to come, and rejects where a new source is to go on behind the last
 * event. Where the connection breaks a browser comes back by itself, with the last id. It gives up where it is answered with
 * a status other than 200, as by a proxy before a server that starts, and some where they are refused.
 */
async function listen(
  source: EventSource,
  signal: AbortSignal,
  screen: Screen,
  next: (event: MessageEvent) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  signal.addEventListener('abort', resolve)
  source.addEventListener('next', event => {
    try {
      next(event)
    } catch (error) {
      reject(error)
    }
  })
  source.addEventListener('complete', resolve)
  source.addEventListener('error', event => {
    if (source.readyState === EventSource.CLOSED) reject(new Error('The browser has given up.'))
    else screen.away(event)
  })
  await promise.finally(() => {
    source.close()
    signal.removeEventListener('abort', resolve)
  })
}

const addressOf = (url: string, query: string, variables: object) =>
  `${url}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`

export class Refused extends Error {}

function dataOf<T>({ data, errors }: Answer<T>): T {
  if (data && !errors) return data
  const message = errors?.map(({ message }) => message).join(' ') ?? 'There is no answer.'
  throw errors && isRefused(errors) ? new Refused(message) : new Error(message)
}
