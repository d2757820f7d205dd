import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Plugin } from 'graphql-yoga'
import type { Launcher } from './jobs/launcher.ts'
import { removeOlder } from './jobs/retention.ts'
import type { Services } from './jobs/services.ts'
import type { Log } from './platform/log.ts'
import type { ObjectStore } from './platform/objects/index.ts'
import type { Settings } from './platform/settings.ts'
import type { Telemetry } from './platform/telemetry/index.ts'
import { makeSchema } from './resolvers/index.ts'
import { anybody, type Identify } from './server/callers.ts'
import { contentRoute } from './server/content.ts'
import { downloadsLine, exportsFolder } from './server/content-table.ts'
import type { Route } from './server/exchange.ts'
import { Exchanges } from './server/exchanges.ts'
import { answerGraphiql, wantsPage } from './server/graphiql.ts'
import { createGraphql, GRAPHQL_PATH, type GraphqlServer } from './server/graphql.ts'
import { answerGraphql } from './server/graphql-http.ts'
import { guardOf } from './server/guard.ts'
import { filesHealth, healthRoutes, platformHealth } from './server/health.ts'
import { measureModels, metricsRoute } from './server/metrics.ts'
import { Outbox, type OutboxLimits } from './server/outbox.ts'
import { useReadsAlone } from './server/reads-alone.ts'
import { uploadsRoute } from './server/uploads.ts'
import { WebSockets } from './server/websocket.ts'

interface ServerParts {
  settings: Pick<Settings, 'host' | 'port' | 'dataDir'> & Partial<Pick<Settings, 'publicUrl'>>
  log: Log
  telemetry: Telemetry
  services: Services
  /** Who calls; whoever reaches the server where left out. */
  identify?: Identify
  /** What slow clients of WebSockets may leave untaken. */
  outbox?: OutboxLimits
}

export interface ServerDeps extends ServerParts {
  objects: ObjectStore
  launcher: Pick<Launcher, 'metrics' | 'fault'>
}

/** For pulled files: there is no database, no store and no manager. */
export interface OfflineServerDeps extends ServerParts {
  /** Rejects where the files cannot be read. */
  check(): Promise<void>
}

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:4000`. */
  readonly url: string
  /** Ends subscriptions, lets requests under way finish for 3 s, cuts what is left; settles when nothing runs any more. */
  close(): Promise<void>
}

const HEADERS_MS = 10_000
/** A table on its way to a client is a file for no longer than this. */
const EXPORT_SECONDS = 24 * 60 * 60
const KEEP_ALIVE_MS = 65_000
const GRACE_MS = 3_000
/** What was cut off ends within this, or is left behind. */
const CUT_MS = 2_000

/** All that is served over HTTP, on one port. */
export async function startServer(deps: ServerDeps): Promise<RunningServer> {
  const { services, objects, telemetry, launcher } = deps
  const { db } = services
  const routes = [...healthRoutes(platformHealth({ db, objects, launcher })), metricsRoute({ telemetry, launcher })]
  const server = await serve(deps, { graphql: [], routes })
  const stopMeasuring = measureModels(db)
  return { url: server.url, close: () => server.close().finally(stopMeasuring) }
}

/** The same reads over pulled files; whatever would change something, or waits for a change, is refused by name. */
export async function startOfflineServer(deps: OfflineServerDeps): Promise<RunningServer> {
  const { telemetry, check } = deps
  const routes = [
    ...healthRoutes(filesHealth(check)),
    metricsRoute({ telemetry, launcher: { metrics: async () => ({}) } }),
  ]
  return serve(deps, { graphql: [useReadsAlone()], routes })
}

/** `graphql` are plugins, and `routes` are answered besides GraphQL, uploads and content. */
async function serve(
  { settings, services, log, identify = anybody, outbox }: ServerParts,
  more: { graphql: readonly Plugin[]; routes: readonly Route[] },
): Promise<RunningServer> {
  const { dataDir } = settings
  // Another server may be at work in the same directory: what is in its folder is younger.
  await removeOlder(exportsFolder(dataDir), EXPORT_SECONDS)
  const graphql = createGraphql({ schema: makeSchema(services), services, log, plugins: more.graphql })
  const guard = guardOf(settings.host, settings.publicUrl)
  const routes = [
    ...graphqlRoutes(graphql, identify),
    uploadsRoute(services.uploads),
    contentRoute({ services, dataDir, line: downloadsLine() }),
    ...more.routes,
  ]
  const exchanges = new Exchanges({ routes, guard, log })
  const sockets = new WebSockets({ graphql, guard, identify, log, outbox: new Outbox(outbox) })
  // No limit on a whole request, since an upload takes as long as it takes: who sends nothing is cut off (body.ts).
  const server = createServer({ headersTimeout: HEADERS_MS, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS })
  server.on('request', (request, response) => exchanges.begin(request, response))
  server.on('checkContinue', (request, response) => exchanges.begin(request, response, true))
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  await listen(server, settings)
  server.on('error', error => log.error({ err: error }, 'the server could not take a connection'))
  let closed: Promise<void> | undefined
  return {
    url: urlOf(server.address() as AddressInfo, settings.host),
    close() {
      closed ??= close(server, exchanges, sockets)
      return closed
    },
  }
}

function graphqlRoutes(graphql: GraphqlServer, identify: Identify): Route[] {
  const answer = answerGraphql(graphql, identify)
  return [
    { method: 'POST', path: GRAPHQL_PATH, handle: answer },
    {
      method: 'GET',
      path: GRAPHQL_PATH,
      handle: exchange => (wantsPage(exchange) ? answerGraphiql : answer)(exchange),
    },
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
