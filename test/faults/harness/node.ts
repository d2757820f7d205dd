import type { ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { serve, stop } from '../../support/platform.ts'
import { type Rule, startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts'

interface Ended {
  pid: number | null
  code: number | null
  ms: number
}

/** A `teatree serve` that is started again whenever it ends, until it is told not to be, behind a database of its own that can be cut off. */
export class ServerNode {
  readonly name: string
  readonly #env: NodeJS.ProcessEnv
  readonly #database: TcpProxy
  readonly log: string[] = []
  /** What becomes of what is said to the database. */
  rule: Rule = () => 'pass'
  /** It is not started again before there is some. */
  power: Promise<void> = Promise.resolve()
  #child: ChildProcess | null = null
  #url = ''
  #isWanted = true
  #running: Promise<void> = Promise.resolve()
  /** How its last end by SIGTERM came about. */
  #ended: Promise<number | null> = Promise.resolve(null)

  private constructor(name: string, env: NodeJS.ProcessEnv, database: TcpProxy) {
    this.name = name
    this.#env = env
    this.#database = database
  }

  static async start(name: string, databaseUrl: string, env: NodeJS.ProcessEnv): Promise<ServerNode> {
    let node: ServerNode | undefined
    const proxy = await startTcpProxy(databaseUrl, (...of) => node?.rule(...of) ?? 'pass')
    const url = new URL(databaseUrl)
    url.host = new URL(proxy.url).host
    node = new ServerNode(name, { ...env, TEATREE_DATABASE_URL: url.href }, proxy)
    const first = Promise.withResolvers<void>()
    node.#running = node.#run(first.resolve)
    await first.promise
    return node
  }

  get url(): string {
    return this.#url
  }

  get databaseUrl(): string {
    return `${this.#env.TEATREE_DATABASE_URL}`
  }

  get pid(): number | null {
    const child = this.#child
    return child && child.exitCode === null && child.signalCode === null ? (child.pid ?? null) : null
  }

  cutDatabase(): void {
    this.#database.cut()
  }

  async #run(started: () => void): Promise<void> {
    while (this.#isWanted) {
      await this.power
      try {
        const { child, url } = await serve(this.#env, this.log)
        child.stdout?.resume()
        const ended = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
        if (child.exitCode !== null || child.signalCode !== null) continue
        // It was told to end for good while it came up.
        if (!this.#isWanted) return await stop(child)
        this.#child = child
        this.#ended = ended
        this.#url = url
        started()
        await ended
      } catch (error) {
        this.log.push(`the harness: ${error instanceof Error ? error.message.slice(0, 2000) : error}`)
      }
      await wait(200)
    }
  }

  /** Asks it to end, and says how it did: `code` is null where it was killed. It is started again. */
  async stopOnce(ms: number): Promise<Ended> {
    const { pid } = this
    if (pid === null) return { pid, code: 0, ms: 0 }
    const began = performance.now()
    process.kill(pid, 'SIGTERM')
    const code = await Promise.race([this.#ended, wait(ms, null, { ref: false })])
    if (code === null && this.pid === pid) process.kill(pid, 'SIGKILL')
    return { pid, code, ms: performance.now() - began }
  }

  /** Ends it for good. */
  async stop(ms = 60_000): Promise<Ended> {
    this.#isWanted = false
    const ended = await this.stopOnce(ms)
    await this.#running
    return ended
  }

  async release(): Promise<void> {
    await this.#database[Symbol.asyncDispose]()
  }
}
