import type { IncomingMessage, ServerResponse } from 'node:http'

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  /** What stands in the path for the route's `:names`, decoded. */
  readonly params: Readonly<Record<string, string>>
  /** Aborts when the client goes away, and when the exchange is over. */
  readonly signal: AbortSignal
  /** Aborts when the server is about to close: what would go on for ever ends then. */
  readonly stopping: AbortSignal
  /** Whether the client holds its body back until it is asked (`Expect: 100-continue`). */
  waitsToBeAsked(): boolean
  /** To be called before the body is read: asks for it where the client waits for that. */
  askForBody(): void
}

/** Answers, and settles when it has; what it throws is answered by code and status. */
export type Handler = (exchange: Exchange) => Promise<void> | void

/** A path with `:names`, as `/content/:model/:version/:file`, and what answers there. GET answers HEAD too. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly handle: Handler
}

/** The route of a request; `path` alone, with no handler, where there is none by that method. */
export function findRoute(routes: readonly Route[], method: string, pathname: string) {
  const wanted = method === 'HEAD' ? 'GET' : method
  let path: string | undefined
  for (const route of routes) {
    const params = match(route.path, pathname)
    if (!params) continue
    if (route.method === wanted) return { path: route.path, params, handle: route.handle }
    path = route.path
  }
  return { path, params: {}, handle: undefined }
}

function match(path: string, pathname: string): Record<string, string> | null {
  const names = path.split('/')
  const parts = pathname.split('/')
  if (names.length !== parts.length) return null
  const params: Record<string, string> = {}
  for (const [index, name] of names.entries()) {
    const part = decoded(parts[index] ?? '')
    if (part === null) return null
    if (name.startsWith(':')) params[name.slice(1)] = part
    else if (name !== part) return null
  }
  return params
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}
