import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine, FileDescription } from '../engine/engine.ts'
import { detectFormat, type ImportFormat } from '../engine/files.ts'
import { TeatreeError } from '../platform/errors.ts'
import { reach } from '../platform/kill-points.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { isUuid } from './ledger.ts'

export interface Upload {
  id: string
  key: string
  format: ImportFormat
  bytes: bigint
  sha256: string
  createdAt: string
}

/** Enough of a file to tell its format by. */
const HEAD_BYTES = 64 << 10
const MAX_BYTES = 64 * 2 ** 30
const COLUMNS = 'id, key, format, bytes, sha256, created_at AS "createdAt"'

/** Where an upload is put while it is looked into. */
export const describedDir = (dataDir: string): string => join(dataDir, 'uploads')

/** Files that clients bring: streamed to the object store, and read by imports. */
export class Uploads {
  readonly #db: Database
  readonly #objects: ObjectStore
  readonly #engine: Engine
  readonly #dataDir: string

  /** `engine`: the one that reads files, whichever engine a model is on. */
  constructor(deps: { db: Database; objects: ObjectStore; engine: Engine; dataDir: string }) {
    this.#db = deps.db
    this.#objects = deps.objects
    this.#engine = deps.engine
    this.#dataDir = deps.dataDir
  }

  /**
   * Streams the body to the store; memory stays flat. WRONG_FORMAT by its first bytes, FILE_TOO_LARGE,
   * UPLOAD_INCOMPLETE and CHECKSUM_MISMATCH against what was announced; nothing is kept then.
   */
  async receive(
    body: AsyncIterable<Uint8Array>,
    announced: { bytes?: number; sha256?: string },
    signal?: AbortSignal,
  ): Promise<Upload> {
    if ((announced.bytes ?? 0) > MAX_BYTES)
      throw new TeatreeError('FILE_TOO_LARGE', `An upload has at most ${MAX_BYTES} bytes; bring the file in parts.`)
    const { head, all } = await peek(body)
    const format = detectFormat(head)
    if (!format)
      throw new TeatreeError(
        'WRONG_FORMAT',
        'The bytes are neither Parquet, Arrow, NDJSON nor CSV in UTF-8 with a header.',
      )
    const id = randomUUID()
    const key = `uploads/${id}`
    // Written down before its first byte is in the store: whatever becomes of us, somebody knows of it and collects it.
    await this.#db.query('INSERT INTO upload (id, key, format) VALUES ($1, $2, $3)', [id, key, format])
    const { bytes, sha256 } = await this.#objects
      .put(key, all, { maxBytes: MAX_BYTES, expect: announced, signal })
      .catch(async error => {
        await this.#db.query('DELETE FROM upload WHERE id = $1', [id]).catch(() => {})
        throw error
      })
    reach('upload.put')
    const [upload] = await this.#db.query<Upload>(
      `UPDATE upload SET state = 'THERE', bytes = $2, sha256 = $3, used_at = clock_timestamp()
        WHERE id = $1 AND state = 'COMING' RETURNING ${COLUMNS}`,
      [id, bytes, sha256],
    )
    if (!upload)
      throw new TeatreeError('UPLOAD_INCOMPLETE', 'The upload took longer than uploads are kept; send it again.')
    return upload
  }

  async get(id: string): Promise<Upload | null> {
    if (!isUuid(id)) return null
    const [upload] = await this.#db.query<Upload>(`SELECT ${COLUMNS} FROM upload WHERE id = $1 AND state = 'THERE'`, [
      id,
    ])
    return upload ?? null
  }

  /** Its columns and rows, found out when somebody first asks. */
  async describe(upload: Upload): Promise<FileDescription> {
    const [known] = await this.#db.query<{ columns: FileDescription['columns'] | null; rows: bigint | null }>(
      'SELECT columns, rows FROM upload WHERE id = $1',
      [upload.id],
    )
    if (known?.columns) return { columns: known.columns, rows: known.rows === null ? null : Number(known.rows) }
    const folder = describedDir(this.#dataDir)
    // A name of its own for each who asks at once.
    const path = join(folder, `${randomUUID()}.${upload.format.toLowerCase()}`)
    await mkdir(folder, { recursive: true })
    try {
      await this.#objects.getFile(upload.key, path, { expect: { sha256: upload.sha256 } })
      const description = await this.#engine.describeFile(path, upload.format)
      await this.#db.query('UPDATE upload SET columns = $2, rows = $3 WHERE id = $1', [
        upload.id,
        JSON.stringify(description.columns),
        description.rows,
      ])
      return description
    } finally {
      await rm(path, { force: true })
    }
  }
}

/** The first bytes of a stream, and the stream with them. */
async function peek(body: AsyncIterable<Uint8Array>): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const rest = body[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let bytes = 0
  while (bytes < HEAD_BYTES) {
    const { done, value } = await rest.next()
    if (done) break
    chunks.push(value)
    bytes += value.length
  }
  const all = (async function* () {
    try {
      yield* chunks
      for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
    } finally {
      await rest.return?.()
    }
  })()
  return { head: Buffer.concat(chunks).subarray(0, HEAD_BYTES), all }
}
