import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** One connection through the proxy. `request` is the first line of the latest HTTP request on it. */
export interface Exchange {
  request: string
  up: number
  down: number
}

/**
 * What becomes of a chunk: it goes on; its connection is cut; it and all that follows it this way is swallowed; or so many of
 * its bytes go on, and the connection ends.
 */
export type Verdict = 'pass' | 'cut' | 'swallow' | number
export type Rule = (side: 'up' | 'down', chunk: Buffer, exchange: Exchange) => Verdict | Promise<Verdict>

export interface TcpProxy extends AsyncDisposable {
  readonly url: string
  /** Ends every connection that is open, whatever is on its way. */
  cut(): void
}

/**
 * A TCP proxy on loopback in front of `target` that lets each chunk pass, or not, by `rule`. Where the target is told by a
 * function, it is asked at each connection: so what is started again elsewhere keeps its address.
 */
export async function startTcpProxy(target: string | (() => string), rule: Rule): Promise<TcpProxy> {
  const open = new Set<Socket>()
  const server = createServer(client => {
    const { hostname, port } = new URL(typeof target === 'string' ? target : target())
    const remote = connect(Number(port), hostname)
    const exchange: Exchange = { request: '', up: 0, down: 0 }
    const cut = () => {
      client.resetAndDestroy()
      remote.destroy()
    }
    for (const socket of [client, remote]) {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      socket.on('error', cut)
    }
    const relay = async (side: 'up' | 'down', from: Socket, to: Socket) => {
      let silent = false
      for await (const chunk of from) {
        if (silent) continue
        exchange.request = requestLine(side, chunk) ?? exchange.request
        exchange[side] += chunk.length
        const verdict = await rule(side, chunk, exchange)
        if (verdict === 'cut') return cut()
        if (typeof verdict === 'number') {
          to.end(chunk.subarray(0, verdict))
          return from.destroy()
        }
        silent = verdict === 'swallow'
        if (verdict === 'pass' && !to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')])
      }
      to.end()
    }
    relay('up', client, remote).catch(cut)
    relay('down', remote, client).catch(cut)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      for (const socket of open) socket.destroy()
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function requestLine(side: 'up' | 'down', chunk: Buffer): string | undefined {
  if (side === 'down') return undefined
  return /^(?:GET|HEAD|PUT|POST|DELETE) \S+ HTTP\/1\.1(?=\r\n)/.exec(chunk.toString('latin1', 0, 2048))?.[0]
}
