import { type FileHandle, open } from 'node:fs/promises'
import pl from 'nodejs-polars'
import { ipcForm, ipcMessages } from './ipc-messages.ts'
import { END_OF_STREAM } from './ipc-stream.ts'
import { type ConversionMessage, SOURCE } from './parquet-conversion.ts'

/*
 * The process in which Polars reads an Arrow file that somebody uploaded: where the bytes are not what they say, Polars ends
 * its process. It works in the current folder, for Polars takes a path for a pattern.
 */

/** So many bytes of a stream are in memory at a time, but at least one batch. */
const PART_BYTES = 64 * 1024 * 1024
const PARQUET = { compression: 'lz4', rowGroupSize: 122_880, statistics: false } as const

async function convertFile(): Promise<string[]> {
  await pl.scanIPC(SOURCE).sinkParquet('0.parquet', PARQUET).collect()
  return ['0.parquet']
}

/** A stream has no lazy scan: its batches are read some at a time, each time behind the schema and the dictionaries. */
async function convertStream(): Promise<string[]> {
  const file = await open(SOURCE)
  try {
    const parts: string[] = []
    let schema: Buffer = Buffer.alloc(0)
    const dictionaries = new Map<number, Buffer[]>()
    let batches: Buffer[] = []
    let bytes = 0
    const flush = () => {
      const stream = Buffer.concat([schema, ...[...dictionaries.values()].flat(), ...batches, END_OF_STREAM])
      const part = `${parts.length}.parquet`
      pl.readIPCStream(stream).writeParquet(part, { compression: PARQUET.compression })
      parts.push(part)
      batches = []
      bytes = 0
    }
    for await (const message of ipcMessages(SOURCE)) {
      // what a dictionary stood for changes for the batches behind it alone
      if (message.is === 'dictionary' && batches.length > 0) flush()
      const content = await read(file, message.offset, message.bytes)
      if (message.is === 'schema') schema = content
      else if (message.is === 'batch') {
        batches.push(content)
        bytes += content.length
      } else {
        const before = message.isDelta ? (dictionaries.get(message.id) ?? []) : []
        dictionaries.set(message.id, [...before, content])
      }
      if (bytes >= PART_BYTES) flush()
    }
    if (batches.length > 0 || parts.length === 0) flush()
    return parts
  } finally {
    await file.close()
  }
}

async function read(file: FileHandle, offset: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes)
  const { bytesRead } = await file.read(buffer, 0, bytes, offset)
  if (bytesRead < bytes) throw new Error('the file became shorter while it was read')
  return buffer
}

const tell = (message: ConversionMessage): Promise<void> =>
  new Promise((resolve, reject) =>
    process.send?.(message, (error: Error | null) => (error ? reject(error) : resolve())),
  )

// without the process that imports there is nobody to do it for
const abandoned = () => process.exit(1)
process.once('disconnect', abandoned)
try {
  await tell({ is: 'started' })
  const parts = (await ipcForm(SOURCE)) === 'file' ? await convertFile() : await convertStream()
  await tell({ is: 'converted', parts })
  process.off('disconnect', abandoned)
  process.disconnect()
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error), () => process.exit(1))
}
