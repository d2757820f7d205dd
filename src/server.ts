import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Engine } from './engine/engine.ts'
import type { Launcher } from './jobs/launcher.ts'
import type { Services } from './jobs/services.ts'
import type { Log } from './platform/log.ts'
import type { ObjectStore } from './platform/objects/index.ts'
import type { Settings } from './platform/settings.ts'
import type { Telemetry } from './platform/telemetry/index.ts'
import { makeSchema } from './resolvers/index.ts'
import { contentRoute } from './server/content.ts'
import { downloadsLine, exportsFolder } from './server/content-table.ts'
import type { Route } from './server/exchange.ts'
import { Exchanges } from './server/exchanges.ts'
import { answerGraphiql, wantsPage } from './server/graphiql.ts'
import { answerGraphql, createGraphql, GRAPHQL_PATH, type GraphqlServer } from './server/graphql.ts'
import { guardOf } from './server/guard.ts'
import { healthRoutes } from './server/health.ts'
import { measureModels, metricsRoute } from './server/metrics.ts'
import { uploadsRoute } from './server/uploads.ts'
import { WebSockets } from './server/websocket.ts'

export interface ServerDeps {
  settings: Pick<Settings, 'host' | 'port' | 'dataDir'>
  log: Log
  telemetry: Telemetry
  objects: ObjectStore
  engines: ReadonlyMap<string, Engine>
  services: Services
  launcher: Launcher
}

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:4000`. */
  readonly url: string
  /** Ends subscriptions, lets requests under way finish for 3 s, cuts what is left; settles when nothing runs any more. */
  close(): Promise<void>
}

const HEADERS_MS = 10_000
const KEEP_ALIVE_MS = 65_000
const GRACE_MS = 3_000
/** What was cut off ends within this, or is left behind. */
const CUT_MS = 2_000

/** All that is served over HTTP, on one port. */
export async function startServer(deps: ServerDeps): Promise<RunningServer> {
  const { settings, services, log } = deps
  await rm(exportsFolder(settings.dataDir), { recursive: true, force: true })
  const graphql = createGraphql({ schema: makeSchema(services), services, log })
  const guard = guardOf(settings.host)
  const exchanges = new Exchanges({ routes: routesOf(deps, graphql), guard, log })
  const sockets = new WebSockets({ graphql, guard, log })
  // No limit on a whole request, since an upload takes as long as it takes: who sends nothing is cut off (body.ts).
  const server = createServer({ headersTimeout: HEADERS_MS, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS })
  server.on('request', (request, response) => exchanges.begin(request, response))
  server.on('checkContinue', (request, response) => exchanges.begin(request, response, true))
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  await listen(server, settings)
  server.on('error', error => log.error({ err: error }, 'the server could not take a connection'))
  const stopMeasuring = measureModels(services.db)
  let closed: Promise<void> | undefined
  return {
    url: urlOf(server.address() as AddressInfo, settings.host),
    close() {
      closed ??= close(server, exchanges, sockets).finally(stopMeasuring)
      return closed
    },
  }
}

function routesOf(
  { services, objects, engines, settings, telemetry, launcher }: ServerDeps,
  graphql: GraphqlServer,
): Route[] {
  const { db, uploads } = services
  const { dataDir } = settings
  const answer = answerGraphql(graphql)
  return [
    { method: 'POST', path: GRAPHQL_PATH, handle: answer },
    {
      method: 'GET',
      path: GRAPHQL_PATH,
      handle: exchange => (wantsPage(exchange) ? answerGraphiql : answer)(exchange),
    },
    uploadsRoute(uploads),
    contentRoute({ services, engines, dataDir, downloads: downloadsLine() }),
    ...healthRoutes({ db, objects }),
    metricsRoute({ telemetry, launcher }),
  ]
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  server.listen(port, host)
  // Rejects where it cannot listen: EADDRINUSE, say.
  await once(server, 'listening')
}

const urlOf = ({ port }: AddressInfo, host: string): string => `http://${isIPv6(host) ? `[${host}]` : host}:${port}`

async function close(server: Server, exchanges: Exchanges, sockets: WebSockets): Promise<void> {
  const ended = once(server, 'close')
  server.close()
  const over = Promise.all([exchanges.stop(), sockets.stop()])
  await Promise.race([over, wait(GRACE_MS, undefined, { ref: false })])
  sockets.cut()
  server.closeAllConnections()
  await ended
  await Promise.race([over, wait(CUT_MS, undefined, { ref: false })])
}
