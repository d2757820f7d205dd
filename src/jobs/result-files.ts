import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResultColumn } from '../engine/engine.ts'
import type { Log } from '../platform/log.ts'
import { Places } from './places.ts'

/** So long the result of a statement is kept after a page of it was read; what can be had again, goes as well. */
export const RESULT_SECONDS = 10 * 60
/** What all of them may take on disk; those that were read longest ago go first. */
const MAX_BYTES = 8 * 2 ** 30
const LOOK_MS = 30_000

/** What a result's file does not say itself. */
export interface ResultDetails {
  /** What it is the result of: for that alone it is handed out. */
  of: string
  columns: readonly ResultColumn[]
  rows: number
}

const EXTENSION = '.parquet'
const fileOf = (id: string) => `${id}${EXTENSION}`
const detailsOf = (id: string) => `${id}.json`

/**
 * Results on this machine, while somebody pages in them: those of statements, which are nowhere else, and copies of those
 * of query runs. Several servers may share the folder.
 */
export class ResultFiles {
  readonly #folder: string
  readonly #log: Log
  readonly #seconds: number
  readonly #maxBytes: number
  readonly #timer: NodeJS.Timeout
  readonly #one = new Places(1)
  /** Bytes since it was tidied last. */
  #added = 0
  #tidying: Promise<void> = Promise.resolve()

  constructor(deps: { dataDir: string; log: Log; seconds?: number; maxBytes?: number }) {
    this.#folder = join(deps.dataDir, 'results')
    this.#log = deps.log
    this.#seconds = deps.seconds ?? RESULT_SECONDS
    this.#maxBytes = deps.maxBytes ?? MAX_BYTES
    this.#timer = setInterval(() => this.tidy(), LOOK_MS)
    this.#timer.unref()
  }

  /** Where the result's file is, or is to be; its folder is there. */
  async path(id: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    return join(this.#folder, fileOf(id))
  }

  /** Keeps a result that is there, with what its file does not say, and makes room for it. */
  async keep(id: string, details: ResultDetails): Promise<void> {
    await writeFile(join(this.#folder, detailsOf(id)), JSON.stringify(details))
    this.#added += (await stat(join(this.#folder, fileOf(id)))).size
    // To look at all of them each time would cost more than what is over for a moment.
    if (this.#added > this.#maxBytes / 16) await this.tidy()
  }

  /** The details of a kept result; null where it is not kept (any more). */
  async find(id: string): Promise<ResultDetails | null> {
    if (!(await this.touch(id))) return null
    const text = await readFile(join(this.#folder, detailsOf(id)), 'utf8').catch(() => null)
    return text && JSON.parse(text)
  }

  /** Says that the file is used; false where it is not there. */
  async touch(id: string): Promise<boolean> {
    const now = new Date()
    return utimes(join(this.#folder, fileOf(id)), now, now).then(
      () => true,
      () => false,
    )
  }

  async remove(id: string): Promise<void> {
    for (const name of [detailsOf(id), fileOf(id)]) await rm(join(this.#folder, name), { force: true })
  }

  /** Removes what nobody has used for a while, and what there is no room for. */
  tidy(): Promise<void> {
    this.#tidying = this.#one
      .use(() => this.#tidy())
      .catch(error => this.#log.warn({ err: error }, 'results that nobody reads were not removed'))
    return this.#tidying
  }

  async #tidy(): Promise<void> {
    this.#added = 0
    const found = []
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const file = await stat(join(this.#folder, name)).catch(() => null)
      if (file) found.push({ name, bytes: file.size, usedAt: file.mtimeMs })
    }
    found.sort((a, b) => b.usedAt - a.usedAt)
    const due = Date.now() - this.#seconds * 1000
    let bytes = 0
    for (const file of found) {
      if (!file.name.endsWith(EXTENSION)) {
        // Details are as old as the page that they were written with.
        if (file.usedAt < due && !found.some(({ name }) => name === file.name.replace('.json', EXTENSION)))
          await rm(join(this.#folder, file.name), { force: true })
        continue
      }
      bytes += file.bytes
      if (file.usedAt < due || bytes > this.#maxBytes) await this.remove(file.name.slice(0, -EXTENSION.length))
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#tidying
  }
}
