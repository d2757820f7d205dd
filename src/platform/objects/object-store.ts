import type { Readable } from 'node:stream'

/** One object as the store lists it. `bytes` is its length. */
export interface ObjectInfo {
  key: string
  bytes: number
}

/** One object whose every byte was seen. `sha256` is hex. */
export interface StoredObject extends ObjectInfo {
  sha256: string
}

/** What the bytes must turn out to be: their number, their checksum (hex), or both. */
export interface Expected {
  bytes?: number | undefined
  sha256?: string | undefined
}

/** `maxBytes` bounds the body; `signal` ends the call with the signal's reason, until the whole body has been taken. */
export interface PutOptions {
  contentType?: string | undefined
  maxBytes?: number | undefined
  expect?: Expected | undefined
  signal?: AbortSignal | undefined
}

/** The range `[start, end)` in bytes; what lies past the object's end is left out. */
export interface GetOptions {
  start?: number | undefined
  end?: number | undefined
  signal?: AbortSignal | undefined
}

export type GetFileOptions = Pick<PutOptions, 'expect' | 'signal'>

/**
 * Where archives and uploads are kept: named byte strings, each whole or absent, the same over files and S3.
 *
 * Keys are paths such as `models/north/7/sales.parquet` (rules: keys.ts); one that breaks the rules is a fault of the
 * caller and fails with a plain Error. A key has one writer at a time, and no key is the folder of another. Every method
 * fails with UNAVAILABLE where the store is away, full or refuses us; the message says what to check.
 */
export interface ObjectStore {
  /** The URL it was opened with. */
  readonly url: string

  /**
   * Streams `body` to `key`, replacing what was there; until it succeeds the key shows what it showed before. Memory stays
   * flat and the body is read no faster than the store takes it. Chunks must not be changed after they were handed over.
   * A body that is not read to its end is closed; give `stream.iterator({ destroyOnReturn: false })` to keep the stream.
   *
   * Fails with FILE_TOO_LARGE (`maxBytes`), UPLOAD_INCOMPLETE or CHECKSUM_MISMATCH (`expect`), with the body's own error or
   * the signal's reason; and then leaves nothing behind.
   */
  put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array, options?: PutOptions): Promise<StoredObject>

  /** `put` of a local file. A file that changes its length meanwhile fails with UPLOAD_INCOMPLETE. */
  putFile(key: string, path: string, options?: PutOptions): Promise<StoredObject>

  /** The bytes, or a range of them; null where there is no such object. Destroy the stream if it is not read to its end. */
  get(key: string, options?: GetOptions): Promise<Readable | null>

  /** Length, or null where there is no such object. */
  head(key: string): Promise<ObjectInfo | null>

  /**
   * The object as the local file `path`, whole or not at all. Fails with NOT_FOUND, and with UPLOAD_INCOMPLETE or
   * CHECKSUM_MISMATCH where the object is not what `expect` says.
   */
  getFile(key: string, path: string, options?: GetFileOptions): Promise<StoredObject>

  /** All objects whose key begins with `prefix` ('' is all), by the UTF-8 bytes of their keys. */
  list(prefix: string): AsyncIterable<ObjectInfo>

  /** No error where there is no such object. */
  delete(key: string): Promise<void>

  /** Deletes all objects below a folder. `prefix` ends in '/', so that `models/a/` can never take `models/ab/` with it. */
  deletePrefix(prefix: string): Promise<void>

  /** A URL that gives the object without credentials for `seconds` (1 to 604800); null where the store has no such thing. */
  presign(key: string, seconds: number): Promise<string | null>

  /** Where the object is, for the content index: `file:///…` or `s3://bucket/prefix/key`. */
  uri(key: string): string

  /** Proves that the store can be reached and written to, and leaves nothing there. */
  check(): Promise<void>

  /** Lets connections go; calls under way fail. */
  close(): Promise<void>
}
