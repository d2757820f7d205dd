import { type FileHandle, open } from 'node:fs/promises'
import { Message, MessageHeader, type Schema } from 'apache-arrow'

/** A message of an IPC file or stream, and where in the file it lies, with its body. */
export type IpcMessage = { offset: number; bytes: number } & (
  | { is: 'schema'; schema: Schema }
  | { is: 'dictionary'; id: number; isDelta: boolean }
  | { is: 'batch'; rows: number }
)

export type IpcForm = 'file' | 'stream'

/** The bytes are not what the Arrow IPC format says. */
export class IpcError extends Error {}

const MAGIC = 'ARROW1'
const MAX_METADATA_BYTES = 256 * 1024 * 1024

/** Whether an Arrow file is of the file form, with a footer, or a stream. */
export async function ipcForm(path: string): Promise<IpcForm> {
  const file = await open(path)
  try {
    const head = await bytesAt(file, 0, MAGIC.length)
    return head.toString('latin1') === MAGIC ? 'file' : 'stream'
  } finally {
    await file.close()
  }
}

/**
 * The messages of a file or stream in order, the schema first. Only their metadata is read.
 *
 *   stream  FFFFFFFF length metadata body │ … │ FFFFFFFF 0
 *   file    ARROW1 0 0 │ the same │ footer length ARROW1
 *
 * @throws IpcError where it is cut short or damaged
 */
export async function* ipcMessages(path: string): AsyncGenerator<IpcMessage, void, void> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const isFile = (await bytesAt(file, 0, Math.min(size, MAGIC.length))).toString('latin1') === MAGIC
    const end = isFile ? await footerAt(file, size) : size
    let first = true
    for (let offset = isFile ? 8 : 0; offset < end; first = false) {
      const message = await messageAt(file, offset, end)
      if (message === null) break
      if (first !== (message.is === 'schema')) throw new IpcError('the schema is not at the beginning')
      yield message
      offset += message.bytes
    }
    if (first) throw new IpcError('there is no schema')
  } finally {
    await file.close()
  }
}

/** Where the footer of a file begins. */
async function footerAt(file: FileHandle, size: number): Promise<number> {
  if (size < 24) throw new IpcError('the file is cut short')
  const tail = await bytesAt(file, size - 10, 10)
  const footer = size - 10 - tail.readInt32LE(0)
  if (tail.toString('latin1', 4) !== MAGIC || footer < 8 || footer > size - 10) {
    throw new IpcError('the file does not end in a footer')
  }
  return footer
}

/** Null at the mark that ends a stream. */
async function messageAt(file: FileHandle, offset: number, end: number): Promise<IpcMessage | null> {
  const prefix = await bytesAt(file, offset, Math.min(8, end - offset))
  if (prefix.length < 4) throw new IpcError('a message is cut short')
  // files from before 2019 lack the continuation mark
  const marked = prefix.readUInt32LE(0) === 0xffffffff
  if (marked && prefix.length < 8) throw new IpcError('a message is cut short')
  const length = prefix.readInt32LE(marked ? 4 : 0)
  if (length === 0) return null
  const begin = offset + (marked ? 8 : 4)
  if (length < 0 || length > MAX_METADATA_BYTES || begin + length > end) throw new IpcError('a message is cut short')
  const message = decoded(await bytesAt(file, begin, length))
  const bytes = begin + length + message.bodyLength - offset
  if (message.bodyLength < 0 || offset + bytes > end) throw new IpcError('a message is cut short')
  return { offset, bytes, ...contentOf(message) }
}

function decoded(metadata: Buffer): Message {
  try {
    return Message.decode(metadata)
  } catch (cause) {
    throw new IpcError('a message is damaged, or of a type that cannot be read', { cause })
  }
}

function contentOf(message: Message) {
  try {
    if (message.isSchema()) return { is: 'schema' as const, schema: message.header() }
    if (message.isRecordBatch()) return { is: 'batch' as const, rows: message.header().length }
    if (message.isDictionaryBatch()) {
      const { id, isDelta } = message.header()
      return { is: 'dictionary' as const, id, isDelta }
    }
  } catch (cause) {
    throw new IpcError('a message is damaged, or of a type that cannot be read', { cause })
  }
  throw new IpcError(`a message is none of a table: ${MessageHeader[message.headerType]}`)
}

/** The bytes that are there, at most `length`. */
async function bytesAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
