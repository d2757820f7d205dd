import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** An answer on its way through; what is changed of it is what the client gets. */
export interface Passing {
  readonly request: IncomingMessage
  readonly path: string
  status: number
  headers: Record<string, string>
  body: Buffer
}

export interface TamperingServer extends AsyncDisposable {
  readonly url: string
  /** What came in, in order. */
  readonly requests: readonly IncomingMessage[]
}

/** A server that passes requests on to `target`, and has `tamper` change what it answers. */
export async function startTamperingServer(
  target: string,
  tamper: (passing: Passing) => void,
): Promise<TamperingServer> {
  const requests: IncomingMessage[] = []
  const pass = async (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request)
    const { host: _, connection: __, ...headers } = request.headers as Record<string, string>
    const method = request.method ?? 'GET'
    const body = method === 'POST' ? await buffer(request) : undefined
    const path = request.url ?? '/'
    const answer = await fetch(target + path, {
      method,
      headers,
      redirect: 'manual',
      ...(body && { body: new Uint8Array(body) }),
    })
    const passing: Passing = {
      request,
      path,
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: Buffer.from(await answer.arrayBuffer()),
    }
    tamper(passing)
    const { 'content-length': ___, 'transfer-encoding': ____, connection: _____, ...rest } = passing.headers
    response.writeHead(passing.status, rest).end(passing.body)
  }
  const server = createServer((request, response) => {
    pass(request, response).catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
