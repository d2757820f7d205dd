import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const OPEN_TEXT = 0x81
const PING = 0x9
const PONG = 0x8a
const CLOSE = 0x8

/** All sockets of the process read into this, one after the other: so a message costs no memory of its own. */
const READ = Buffer.allocUnsafe(256 << 10)

/**
 * The client's end of a WebSocket, bare: it hands on the bytes of each message as they were read, so that whoever counts
 * many of them is not what is measured. Answers pings.
 *
 * @param onMessage the bytes hold until it returns
 */
export async function openSocket(url: string, onMessage: (bytes: Buffer) => void): Promise<RawSocket> {
  const { hostname, port, host } = new URL(url)
  let receive: (bytes: Buffer) => void = () => {}
  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer: READ,
      callback: (length, buffer) => {
        receive((buffer as Buffer).subarray(0, length))
        return true
      },
    },
  })
  await once(socket, 'connect')
  const upgraded = new Promise<Buffer>((resolve, reject) => {
    let head = ''
    receive = bytes => {
      head += bytes.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101')) reject(new Error(head))
      resolve(Buffer.from(head.slice(end + 4), 'latin1'))
    }
    socket.once('close', () => reject(new Error('the server closed a connection')))
  })
  socket.write(
    `GET /graphql HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  )
  const raw = new RawSocket(socket, onMessage)
  const rest = await upgraded
  receive = bytes => raw.receive(bytes)
  if (rest.length > 0) raw.receive(rest)
  return raw
}

export class RawSocket {
  readonly #socket: Socket
  readonly #onMessage: (bytes: Buffer) => void
  /** The beginning of a frame whose end has not come yet. */
  #begun: Buffer | null = null

  constructor(socket: Socket, onMessage: (bytes: Buffer) => void) {
    this.#socket = socket
    this.#onMessage = onMessage
  }

  say(message: object): void {
    this.#send(OPEN_TEXT, Buffer.from(JSON.stringify(message)))
  }

  receive(bytes: Buffer): void {
    let rest = this.#begun ? Buffer.concat([this.#begun, bytes]) : bytes
    for (;;) {
      const frame = frameOf(rest)
      if (!frame) break
      const payload = rest.subarray(frame.start, frame.end)
      if (frame.opcode === CLOSE) throw new Error(`a subscriber was sent away: ${payload.toString('latin1', 2)}`)
      if (frame.opcode === PING) this.#send(PONG, payload)
      else this.#onMessage(payload)
      rest = rest.subarray(frame.end)
    }
    this.#begun = rest.length === 0 ? null : Buffer.from(rest)
  }

  /** A client masks what it sends; with a mask of zeros that is the same bytes. */
  #send(first: number, payload: Buffer): void {
    const head = Buffer.alloc(payload.length < 126 ? 6 : 8)
    head[0] = first
    if (payload.length < 126) head[1] = 0x80 | payload.length
    else {
      head[1] = 0x80 | 126
      head.writeUInt16BE(payload.length, 2)
    }
    this.#socket.write(Buffer.concat([head, payload]))
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Where a server's frame begins and ends in the bytes; null where it is not whole yet. */
function frameOf(bytes: Buffer): { opcode: number; start: number; end: number } | null {
  if (bytes.length < 2) return null
  const short = (bytes[1] ?? 0) & 0x7f
  const start = short < 126 ? 2 : short === 126 ? 4 : 10
  if (bytes.length < start) return null
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : bytes.readUIntBE(4, 6)
  if (bytes.length < start + length) return null
  return { opcode: (bytes[0] ?? 0) & 0x0f, start, end: start + length }
}
