import type { PulledFile } from '../../jobs/offline/pulled-version.ts'
import { eachAtOnce } from '../../platform/each-at-once.ts'
import type { Server } from '../client.ts'
import { GAVE_UP } from './fetch-blocks.ts'
import type { PartFolder } from './part-folder.ts'
import { Patience, type PatienceOptions } from './patience.ts'
import { Interrupted, Ranges, type StoreTrouble } from './ranges.ts'

export interface FetchFilesOptions {
  server: Server
  /** Where a file of the version is. */
  urlOf(name: string): string
  part: PartFolder
  signal: AbortSignal
  patience?: PatienceOptions | undefined
  /** Told what came over the wire. */
  onBytes(bytes: number): void
}

/** Fetches whole files, each held against its checksum at its end. A connection that breaks is made again from the byte that it broke at. */
export async function fetchFiles(files: readonly PulledFile[], options: FetchFilesOptions): Promise<void> {
  const trouble: StoreTrouble = { failures: 0 }
  await eachAtOnce(files, options.signal, (file, signal) => fetchFile(file, { ...options, signal }, trouble))
}

async function fetchFile(
  file: PulledFile,
  { server, urlOf, part, signal, patience: tries, onBytes }: FetchFilesOptions,
  trouble: StoreTrouble,
): Promise<void> {
  const ranges = new Ranges(server, { url: urlOf(file.name), ...file }, trouble)
  const patience = new Patience({ ...tries, signal })
  let most = await part.begun(file)
  for (;;) {
    const start = await part.begun(file)
    try {
      await part.append(file, heard(ranges.read(start, file.bytes, signal), onBytes))
      if (await part.isWhole(file)) return
      ranges.wasWrong()
      throw new Interrupted('a file is not what its checksum says')
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error
      // What is as long as the file, and another, is begun anew: that is no progress.
      const begun = await part.begun(file)
      if (begun > most) patience.gotOn()
      most = Math.max(most, begun)
      await patience.failed(error, GAVE_UP)
    }
  }
}

async function* heard(chunks: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield chunk
  }
}
