import { randomUUID } from 'node:crypto'
import { openSocket, type RawSocket } from './raw-socket.ts'

/**
 * A process of its own that holds subscriptions, and counts what they are told. It looks at bytes: of each message, how
 * many completions it tells; one of many it parses whole.
 */
export type SubscribersOrder =
  /** Opens so many sockets for each of the variables, with one subscription each. Answered when each has had an event. */
  | { open: number; url: string; query: string; variables: object[] }
  /** Answered with what has come since the last time. */
  | { tell: true }
  | { close: true }

/** A completion has come to all subscribers of the variables at this index: in order, one message each. */
export type Whole = { whole: number }

export interface Told {
  messages: number
  bytes: number
  completions: number
  /** How many messages were parsed, and told what they should. */
  checked: number
  /** From the end of the first completion of each message to its receipt, in milliseconds. */
  times: number[]
}

/** Opened at once, so that a server's queue of connections does not overflow. */
const AT_ONCE = 50
/** One of so many is parsed. */
const CHECKED = 997
/** What is in a message once for each completion. */
const MARK = Buffer.from('"endedAt":"')
const QUOTE = 0x22

/** The subscribers of one model. */
class Group {
  readonly #index: number
  readonly #size: number
  /** How many of them have been told of so many completions and one more, past those that all were told of. */
  readonly #reached: number[] = []
  #whole = 0

  constructor(index: number, size: number) {
    this.#index = index
    this.#size = size
  }

  /** One of them was told of its completions `from` to `to`. */
  told(from: number, to: number): void {
    for (let at = from; at < to; at++) this.#reached[at - this.#whole] = (this.#reached[at - this.#whole] ?? 0) + 1
    while (this.#reached[0] === this.#size) {
      this.#reached.shift()
      this.#whole += 1
      process.send?.({ whole: this.#index } satisfies Whole)
    }
  }
}

const sockets: RawSocket[] = []
let told: Told = { messages: 0, bytes: 0, completions: 0, checked: 0, times: [] }

process.on('message', async (order: SubscribersOrder) => {
  if ('open' in order) {
    const groups = order.variables.map((_, index) => new Group(index, order.open))
    let next = 0
    const opener = async () => {
      while (next < order.open * groups.length) {
        const index = next++ % groups.length
        await open(order, order.variables[index] ?? {}, groups[index])
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, opener))
    process.send?.({ opened: true })
  } else if ('tell' in order) {
    process.send?.(told)
    told = { messages: 0, bytes: 0, completions: 0, checked: 0, times: [] }
  } else {
    for (const socket of sockets.splice(0)) socket.close()
    process.send?.({ closed: true })
  }
})

async function open({ url, query }: { url: string; query: string }, variables: object, group?: Group): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let isOpen = false
  let seen = 0
  // As clients name them: each is another.
  const id = randomUUID()
  const socket = await openSocket(url, bytes => {
    if (isOpen) {
      const count = receive(id, bytes)
      group?.told(seen, seen + count)
      seen += count
      return
    }
    const text = bytes.toString()
    if (text.includes('"connection_ack"')) return socket.say({ id, type: 'subscribe', payload: { query, variables } })
    if (!text.includes('"next"') || text.includes('"errors"')) reject(new Error(text))
    isOpen = true
    resolve()
  })
  sockets.push(socket)
  socket.say({ type: 'connection_init' })
  await promise
}

/** How many completions a message tells. */
function receive(id: string, bytes: Buffer): number {
  let count = 0
  let first = -1
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + MARK.length)) {
    if (first < 0) first = at + MARK.length
    count += 1
  }
  told.messages += 1
  told.bytes += bytes.length
  told.completions += count
  if (first >= 0) {
    const ended = Date.parse(bytes.toString('latin1', first, bytes.indexOf(QUOTE, first)))
    told.times.push(performance.timeOrigin + performance.now() - ended)
  }
  if (told.messages % CHECKED === 1) check(id, bytes, count)
  return count
}

/** Whether the message is what it should be, whole. */
function check(id: string, bytes: Buffer, count: number): void {
  const { payload, ...message } = JSON.parse(bytes.toString())
  const { edges, snapshot } = payload.data.completions
  const isWhole =
    message.id === id && message.type === 'next' && edges.length === count && snapshot.sales.nodes.length === 20
  if (!isWhole) throw new Error(`a message is not what it should be: ${bytes}`)
  told.checked += 1
}
