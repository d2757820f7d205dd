import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FailingServer extends AsyncDisposable {
  readonly url: string
}

/** A server in front of `target` that passes requests on as they are, signed as they may be; or answers with a status of its own. */
export async function startFailingServer(target: string, status: () => number | null): Promise<FailingServer> {
  const { hostname, port } = new URL(target)
  const server = createServer((asked, response) => {
    const instead = status()
    if (instead !== null) {
      asked.resume().on('end', () => response.writeHead(instead).end())
      return
    }
    const { method, url: path, headers } = asked
    const passed = request({ hostname, port, method, path, headers, agent: false }, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    asked.on('error', () => passed.destroy()).pipe(passed)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
