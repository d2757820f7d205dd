import { ReadableStream } from 'node:stream/web'
import type { ExecutionResult } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { stream } from './answers.ts'
import { atExpiry, type Caller } from './callers.ts'
import { eventIdOf } from './deliveries.ts'
import type { Exchange } from './exchange.ts'
import { textOf } from './result-texts.ts'

export const EVENT_STREAM = 'text/event-stream'

/** So often something is sent, so that what is between us and the client does not take the stream for dead. */
const PING_MS = 12_000
const PING = ':\n\n'
/** At once, since some clients see no answer before its first bytes; browsers would wait 3 seconds and more to come back. */
const OPENING = 'retry: 1000\n:\n\n'
const COMPLETE = 'event: complete\ndata:\n\n'

/**
 * Server-sent events of a subscription, one connection for each, as the GraphQL over SSE protocol has them, and with ids
 * where there is a log to go on in: who comes back with one as `Last-Event-ID` goes on behind that event.
 */
export function useEventIds(): Plugin {
  return {
    onResultProcess({ result, resultProcessor, setResultProcessor }) {
      // Yoga has found that events are wanted, and would send them without ids.
      if (!resultProcessor || !(Symbol.asyncIterator in result)) return
      setResultProcessor((_, { Response }) => {
        const headers = { 'content-type': EVENT_STREAM, 'cache-control': 'no-cache', 'x-accel-buffering': 'no' }
        // TypeScript holds Node's streams and the web's to be different.
        return new Response(ReadableStream.from(framesOf(result)) as unknown as BodyInit, { headers })
      }, EVENT_STREAM)
    },
  }
}

async function* framesOf(results: AsyncIterable<ExecutionResult>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(OPENING)
  for await (const result of results) yield frameOf(result)
  yield Buffer.from(COMPLETE)
}

const frames = new WeakMap<ExecutionResult, Uint8Array>()

/** Made once, however many are sent it. */
function frameOf(result: ExecutionResult): Uint8Array {
  const there = frames.get(result)
  if (there) return there
  const id = eventIdOf(result)
  const frame = Buffer.from(`event: next\n${id === undefined ? '' : `id: ${id}\n`}data: ${textOf(result)}\n\n`)
  frames.set(result, frame)
  return frame
}

/** Sends events until there are no more, the client goes away, its credentials expire, or the server stops. */
export async function sendEvents(
  { response, stopping }: Exchange,
  events: AsyncIterable<Uint8Array>,
  caller: Caller,
): Promise<void> {
  // No `complete` is told: that would say that there is nothing more to come, ever.
  const stop = () => response.end()
  const forget = atExpiry(caller, stop)
  const ping = setInterval(() => {
    if (response.writableLength === 0) response.write(PING)
  }, PING_MS)
  stopping.addEventListener('abort', stop)
  try {
    await stream(response, events)
  } finally {
    forget()
    clearInterval(ping)
    stopping.removeEventListener('abort', stop)
  }
}
