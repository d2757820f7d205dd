import { type FileHandle, open } from 'node:fs/promises'
import { Message, type Schema } from 'apache-arrow'
import { Footer } from 'apache-arrow/ipc/metadata/file'
import type { RecordBatch } from 'apache-arrow/ipc/metadata/message'
import { IpcError } from './ipc-error.ts'

/** A message of an IPC file or stream, and where in the file it lies, with its body, which begins at `body`. */
export type IpcMessage = { offset: number; body: number; bytes: number } & (
  | { is: 'schema'; schema: Schema }
  | { is: 'dictionary'; id: number; isDelta: boolean }
  | { is: 'batch'; rows: number; layout: RecordBatch }
)

export type IpcForm = 'file' | 'stream'

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
 * The messages of a file or stream, the schema first; only their metadata is read. A file is read by its footer, since some
 * writers leave the schema out where it stands in a stream: its schema is no message and has no bytes here.
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
    const head = await bytesAt(file, 0, Math.min(size, MAGIC.length))
    yield* head.toString('latin1') === MAGIC ? messagesOfFile(file, size) : messagesOfStream(file, size)
  } finally {
    await file.close()
  }
}

async function* messagesOfStream(file: FileHandle, size: number): AsyncGenerator<IpcMessage, void, void> {
  let first = true
  for (let offset = 0; offset < size; first = false) {
    const message = await messageAt(file, offset, size)
    if (message === null) break
    if (first !== (message.is === 'schema')) throw new IpcError('the schema is not at the beginning')
    yield message
    offset += message.bytes
  }
  if (first) throw new IpcError('there is no schema')
}

async function* messagesOfFile(file: FileHandle, size: number): AsyncGenerator<IpcMessage, void, void> {
  const end = await footerAt(file, size)
  const bytes = await bytesAt(file, end, size - 10 - end)
  const { schema, blocks } = decoded(() => {
    const footer = Footer.decode(bytes)
    return { schema: footer.schema, blocks: [...footer.dictionaryBatches(), ...footer.recordBatches()] }
  })
  yield { is: 'schema', schema, offset: end, body: end, bytes: 0 }
  for (const { offset } of blocks) {
    const message = offset >= 8 && offset < end ? await messageAt(file, offset, end) : null
    if (message === null) throw new IpcError('a message is not where the footer says')
    yield message
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
  const metadata = await bytesAt(file, begin, length)
  const { bodyLength, content } = decoded(() => {
    const message = Message.decode(metadata)
    return { bodyLength: message.bodyLength, content: contentOf(message) }
  })
  const body = begin + length
  const bytes = body + bodyLength - offset
  if (bodyLength < 0 || offset + bytes > end) throw new IpcError('a message is cut short')
  return { offset, body, bytes, ...content }
}

function contentOf(message: Message) {
  if (message.isSchema()) return { is: 'schema' as const, schema: message.header() }
  if (message.isRecordBatch()) {
    const layout = message.header()
    return { is: 'batch' as const, rows: layout.length, layout }
  }
  if (message.isDictionaryBatch()) {
    const { id, isDelta } = message.header()
    return { is: 'dictionary' as const, id, isDelta }
  }
  throw new IpcError('it holds something else than a table')
}

/** Decoding reads whatever offsets the bytes hold, and throws whatever comes of that. */
function decoded<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    if (cause instanceof IpcError) throw cause
    throw new IpcError('its metadata is damaged, or has a type that cannot be read', { cause })
  }
}

/** The bytes that are there, at most `length`. */
async function bytesAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
