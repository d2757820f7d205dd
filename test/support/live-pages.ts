import { EventSource } from 'eventsource'
import * as eventSource from '../../examples/live-page/event-source.ts'
import type { Screen } from '../../examples/live-page/newest-sales.ts'
import * as websocket from '../../examples/live-page/websocket.ts'

/** Both recipes alike. `url` is that of the server. */
export const LIVE_PAGES: [
  name: string,
  follow: (url: string, model: string, screen: Screen, signal: AbortSignal) => Promise<void>,
][] = [
  [
    'over a WebSocket',
    (url, model, screen, signal) => websocket.follow(websocket.connect(`${url}/graphql`), model, screen, signal),
  ],
  ['by an EventSource', (url, model, screen, signal) => eventSource.follow(`${url}/graphql`, model, screen, signal)],
]

/** Node has one of its own only where it is asked for by a flag. */
Object.assign(globalThis, { EventSource })
