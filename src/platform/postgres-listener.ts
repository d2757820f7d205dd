import pg from 'pg'

interface Subscriber {
  channel: string
  onNotice: (payload: string) => void
  onGap: () => void
}

/** One connection that listens for all who want to, made again with backoff when it is lost. */
export class Listener {
  readonly #config: pg.ClientConfig
  readonly #onError: (error: Error) => void
  readonly #subscribers = new Set<Subscriber>()
  #client: Promise<pg.Client> | null = null
  #current: pg.Client | null = null
  #retry: NodeJS.Timeout | null = null
  #failures = 0
  #closed = false

  constructor(config: pg.ClientConfig, onError: (error: Error) => void) {
    this.#config = config
    this.#onError = onError
  }

  async listen(channel: string, onNotice: Subscriber['onNotice'], onGap: Subscriber['onGap']): Promise<() => void> {
    if (!/^[a-z_]+$/.test(channel)) throw new Error(`not a channel: ${channel}`)
    const subscriber = { channel, onNotice, onGap }
    this.#subscribers.add(subscriber)
    try {
      const client = await this.#connected()
      await client.query(`LISTEN ${channel}`)
    } catch (error) {
      this.#lost(error as Error)
    }
    return () => this.#subscribers.delete(subscriber)
  }

  #connected(): Promise<pg.Client> {
    this.#client ??= this.#connect()
    return this.#client
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#config)
    const onLost = (error: Error) => {
      // What an older connection still says, minutes later perhaps, is not of this one.
      if (this.#current === client) this.#lost(error)
    }
    this.#current = client
    client.on('error', onLost)
    client.on('end', () => onLost(new Error('the listening connection ended')))
    client.on('notification', ({ channel, payload }) => {
      for (const subscriber of this.#subscribers) if (subscriber.channel === channel) subscriber.onNotice(payload ?? '')
    })
    try {
      await client.connect()
      for (const channel of new Set([...this.#subscribers].map(subscriber => subscriber.channel)))
        await client.query(`LISTEN ${channel}`)
    } catch (error) {
      client.end().catch(() => {})
      throw error
    }
    this.#failures = 0
    for (const subscriber of this.#subscribers) subscriber.onGap()
    return client
  }

  #lost(error: Error): void {
    if (this.#closed || this.#retry) return
    this.#onError(error)
    const client = this.#client
    this.#client = null
    this.#current = null
    client?.then(old => old.end()).catch(() => {})
    this.#retry = setTimeout(
      () => {
        this.#retry = null
        this.#connected().catch(failure => {
          this.#client = null
          this.#lost(failure)
        })
      },
      Math.min(50 * 2 ** this.#failures++, 2000),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#retry) clearTimeout(this.#retry)
    await (await this.#client?.catch(() => null))?.end()
  }
}
