import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { metrics } from '../platform/telemetry/index.ts'
import { answerError } from './answers.ts'
import { type Exchange, findRoute, type Route } from './exchange.ts'
import type { Guard } from './guard.ts'

/** What metrics call the paths that are nobody's, so that they do not grow with what strangers ask for. */
const NO_ROUTE = 'none'
/** Why a signal aborts; made once, since an error that is made takes longer than many an answer. */
const OVER = new DOMException('The exchange is over.', 'AbortError')

/** The exchanges under way: finds who answers, and sees that there is an answer, whatever fails. */
export class Exchanges {
  readonly #routes: readonly Route[]
  readonly #guard: Guard
  readonly #log: Log
  readonly #open = new Map<ServerResponse, Promise<unknown>>()
  readonly #stopping = new AbortController()

  constructor(deps: { routes: readonly Route[]; guard: Guard; log: Log }) {
    this.#routes = deps.routes
    this.#guard = deps.guard
    this.#log = deps.log
  }

  /** `waiting`: the client sends its body only when it is asked to. */
  begin(request: IncomingMessage, response: ServerResponse, waiting = false): void {
    // Answered is not sent: the last bytes are out, or nobody takes them any more, when the response closes.
    const closed = new Promise<void>(resolve => response.once('close', resolve))
    const answered = this.#answer(request, response, waiting).catch(error => {
      this.#log.error({ err: error }, 'a request was not answered')
      response.destroy()
    })
    const settled = Promise.all([answered, closed]).finally(() => this.#open.delete(response))
    this.#open.set(response, settled)
  }

  async #answer(request: IncomingMessage, response: ServerResponse, waiting: boolean): Promise<void> {
    const began = performance.now()
    const over = new AbortController()
    // A connection that breaks is told to nobody else; without a listener it would end the process.
    response.on('error', error => this.#log.debug({ err: error }, 'an answer was cut off'))
    response.once('close', () => over.abort(OVER))
    response.setHeader('x-content-type-options', 'nosniff')
    if (this.#stopping.signal.aborted) response.setHeader('connection', 'close')
    const url = URL.parse(`http://localhost${request.url}`)
    const route = findRoute(this.#routes, request.method ?? '', url?.pathname ?? '')
    const exchange: Exchange = {
      request,
      response,
      url: url ?? new URL('http://localhost'),
      params: route.params,
      signal: over.signal,
      stopping: this.#stopping.signal,
      waitsToBeAsked: () => waiting,
      askForBody: () => {
        if (waiting) response.writeContinue()
        waiting = false
      },
    }
    try {
      this.#guard(request.headers)
      if (!route.handle)
        throw new TeatreeError('NOT_FOUND', `There is no ${request.method} ${url?.pathname ?? request.url}.`)
      await route.handle(exchange)
    } catch (error) {
      await this.#failed(exchange, error)
    } finally {
      over.abort(OVER)
      metrics.httpRequests.record((performance.now() - began) / 1000, {
        'http.request.method': request.method ?? '',
        'http.route': route.path ?? NO_ROUTE,
        'http.response.status_code': response.statusCode,
      })
    }
  }

  async #failed(exchange: Exchange, error: unknown): Promise<void> {
    const { response } = exchange
    // Nobody is there to be answered.
    if (response.destroyed) return
    const shown = this.#shown(error)
    if (!response.headersSent) return answerError(exchange, shown)
    // Half an answer is out: only a connection that breaks says that it is not whole.
    response.destroy()
  }

  /** What may be said of the error; of a fault of ours an id, under which the log has it. */
  #shown(error: unknown): TeatreeError {
    if (error instanceof TeatreeError) return error
    const id = randomUUID()
    this.#log.error({ err: error, id }, 'a request failed by a fault of ours')
    return new TeatreeError('INTERNAL', `A fault of the server; its log has it under ${id}.`)
  }

  /** Ends what would go on for ever; settles when no exchange is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const response of this.#open.keys()) if (!response.headersSent) response.setHeader('connection', 'close')
    while (this.#open.size > 0) await Promise.all(this.#open.values())
  }
}
