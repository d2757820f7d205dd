import { type FileHandle, open, rm, stat, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { addAbortSignal, Readable } from 'node:stream'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { errno } from '../errno.ts'
import { TeatreeError, UsageError } from '../errors.ts'
import { diskFault } from './disk-fault.ts'
import { walkFiles } from './folder-walk.ts'
import { checkedFolder, checkedKey, checkedPrefix, checkedRange, isTempName, tempName } from './keys.ts'
import { getLocalFile, putLocalFile, readChunks } from './local-file.ts'
import { Meter } from './meter.ts'
import type { GetFileOptions, GetOptions, ObjectInfo, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
import { writeWholeFile } from './whole-file.ts'

const STRAY_AFTER_MS = 24 * 60 * 60 * 1000

/** Whether one name would have to be both a file and a folder. */
function isNameTaken(error: unknown): boolean {
  return error instanceof TeatreeError && ['EISDIR', 'ENOTDIR', 'EEXIST'].includes(errno(error.cause) ?? '')
}

/** Null where the file, or a folder on the way to it, is not there. */
async function orNull<T>(operation: Promise<T>): Promise<T | null> {
  try {
    return await operation
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return null
    throw diskFault(error)
  }
}

/** An open file and its length; null where there is no such file. */
async function openObject(path: string): Promise<{ file: FileHandle; bytes: number } | null> {
  const file = await orNull(open(path))
  if (file === null) return null
  const found = await file.stat()
  if (found.isFile()) return { file, bytes: found.size }
  await file.close()
  return null
}

/** Objects as files below one folder: the key is the path. What a killed process left unfinished is swept at open. */
export class FileStore implements ObjectStore {
  readonly url: string
  readonly #root: string
  readonly #swept: Promise<void>
  #closed = false

  constructor(url: string) {
    this.url = url
    try {
      const { search, hash } = new URL(url)
      if (search !== '' || hash !== '') throw new Error('neither query nor fragment')
      this.#root = fileURLToPath(url)
    } catch (error) {
      throw new UsageError('TEATREE_STORE_URL must be file:///path with an absolute path', { cause: error })
    }
    this.#swept = this.#sweep().catch(() => {}) // check() tells of a disk that does not work
  }

  async put(
    key: string,
    body: AsyncIterable<Uint8Array> | Uint8Array,
    options: PutOptions = {},
  ): Promise<StoredObject> {
    const meter = new Meter(options)
    try {
      await writeWholeFile(this.#path(key), meter.read(body))
    } catch (error) {
      throw isNameTaken(error) ? new Error(`Object key ${JSON.stringify(key)} is a folder, or below a file`) : error
    }
    return { key, ...meter.measured() }
  }

  putFile(key: string, path: string, options: PutOptions = {}): Promise<StoredObject> {
    return putLocalFile(this, key, path, options)
  }

  async get(key: string, options: GetOptions = {}): Promise<Readable | null> {
    const { start, end } = checkedRange(options)
    options.signal?.throwIfAborted()
    const found = await openObject(this.#path(key))
    if (found === null) return this.#none()
    const chunks = readChunks(found.file, start, Math.min(end, found.bytes))
    const body = Readable.from(chunks, { objectMode: false })
    // Not in the generator's `finally`, which never runs where the stream is destroyed before its first read.
    body.once('close', () => found.file.close().catch(() => {}))
    return options.signal === undefined ? body : addAbortSignal(options.signal, body)
  }

  async head(key: string): Promise<ObjectInfo | null> {
    const found = await orNull(stat(this.#path(key)))
    return found?.isFile() ? { key, bytes: found.size } : this.#none()
  }

  getFile(key: string, path: string, options: GetFileOptions = {}): Promise<StoredObject> {
    return getLocalFile(this, key, path, options)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    for await (const key of walkFiles(this.#root, checkedPrefix(prefix))) {
      if (isTempName(basename(key))) continue
      const found = await this.head(key) // null where it was deleted since its folder was read
      if (found !== null) yield found
    }
  }

  async delete(key: string): Promise<void> {
    const path = this.#path(key)
    if ((await this.head(key)) !== null) await orNull(unlink(path))
  }

  async deletePrefix(prefix: string): Promise<void> {
    await orNull(rm(join(this.#root, checkedFolder(prefix)), { recursive: true, force: true, maxRetries: 3 }))
  }

  async presign(): Promise<null> {
    return null
  }

  uri(key: string): string {
    return pathToFileURL(this.#path(key)).href
  }

  async check(): Promise<void> {
    const path = join(this.#root, tempName())
    await writeWholeFile(path, new Meter({}).read(Buffer.from('Teatree can write here.')))
    await orNull(unlink(path))
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#swept
  }

  /** Nothing is there, unless something else is in the folder's place: what is away must not be taken for what is gone. */
  async #none(): Promise<null> {
    const root = await orNull(stat(this.#root))
    if (root && !root.isDirectory())
      throw new TeatreeError('UNAVAILABLE', 'The object store cannot be reached: its folder is none.')
    return null
  }

  #path(key: string): string {
    return join(this.#root, checkedKey(key))
  }

  async #sweep(): Promise<void> {
    const oldest = Date.now() - STRAY_AFTER_MS
    for await (const key of walkFiles(this.#root)) {
      if (this.#closed) return
      if (!isTempName(basename(key))) continue
      const path = join(this.#root, key)
      const found = await orNull(stat(path))
      if (found !== null && found.mtimeMs < oldest) await orNull(unlink(path))
    }
  }
}
