import { setTimeout as wait } from 'node:timers/promises'
import type { Engine, Readers, SnapshotReader } from '../../engine/engine.ts'
import { SnapshotMissing } from '../../engine/snapshot-missing.ts'
import type { EngineName } from '../../kinds/context.ts'
import type { Kinds } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { checkAsPublished } from '../as-published.ts'
import type { Version } from '../records.ts'
import type { Public } from '../services.ts'
import type { OpenSnapshot, SnapshotAt, Snapshots } from '../snapshots.ts'
import type { Pulled, PulledFolder } from './pulled-folder.ts'
import { offline } from './refusing.ts'

/** How often it is looked whether a version that is waited for has been pulled. */
const LOOK_MS = 250

interface Entry {
  path: string
  reader: Promise<SnapshotReader>
  holders: number
}

/**
 * The versions that were pulled. What is pulled while this runs is found by the next who asks; a version that it took the
 * place of stays open for those who hold it.
 */
export class OfflineSnapshots implements Public<Snapshots> {
  readonly #folder: PulledFolder
  readonly #kinds: Kinds
  readonly #engines: ReadonlyMap<string, Engine>
  readonly #log: Log
  /** By the file's checksum. */
  readonly #open = new Map<string, Entry>()
  readonly #readers = new Map<string, Promise<Readers>>()

  constructor(deps: { folder: PulledFolder; kinds: Kinds; engines: ReadonlyMap<string, Engine>; log: Log }) {
    this.#folder = deps.folder
    this.#kinds = deps.kinds
    this.#engines = deps.engines
    this.#log = deps.log
  }

  async find(model: string, at: SnapshotAt | null, waitMs: number, signal?: AbortSignal): Promise<Version> {
    for (let left = waitMs; ; left -= LOOK_MS) {
      const found = select(model, at, await this.#folder.versions(model))
      if (found) return versionOf(found)
      if (left <= 0 || signal?.aborted)
        throw new TeatreeError('SNAPSHOT_NOT_YET', `No such version of model ${model} has been pulled yet; pull it.`)
      await wait(Math.min(left, LOOK_MS), undefined, { signal }).catch(() => {})
    }
  }

  async kept(model: string, limit: number, before: number | null): Promise<Version[]> {
    const versions = await this.#folder.versions(model)
    return versions
      .filter(({ version }) => before === null || version < before)
      .slice(0, limit)
      .map(versionOf)
  }

  async labels(version: Version): Promise<{ label: string }[]> {
    return (await this.#pulled(version)).labels.map(label => ({ label }))
  }

  async acquire(model: string, at: SnapshotAt | null, waitMs: number, signal?: AbortSignal): Promise<OpenSnapshot> {
    return this.open(await this.find(model, at, waitMs, signal))
  }

  async open(version: Version): Promise<OpenSnapshot> {
    const pulled = await this.#pulled(version)
    const key = keyOf(pulled)
    const entry = this.#open.get(key) ?? { path: pulled.path, reader: this.#openReader(pulled), holders: 0 }
    this.#open.set(key, entry)
    entry.holders++
    let released = false
    const release = () => {
      if (released) return
      released = true
      entry.holders--
      void this.#closeReplaced(version.model)
    }
    try {
      return { version, reader: await entry.reader, check: async () => {}, release }
    } catch (error) {
      this.#open.delete(key)
      release()
      throw error
    }
  }

  readers(name: EngineName): Promise<Readers> {
    const there = this.#readers.get(name)
    if (there) return there
    const engine = this.#engines.get(name)
    if (!engine) throw new Error(`there is no engine ${name} here`)
    const opening = engine.openReaders()
    this.#readers.set(name, opening)
    opening.catch(() => this.#readers.delete(name))
    return opening
  }

  /** What was pulled stays until another takes its place. */
  paged(): void {}

  async #pulled({ model, version }: Version): Promise<Pulled> {
    const found = (await this.#folder.versions(model)).find(each => each.version === version)
    if (found) return found
    throw gone(model, version)
  }

  async #openReader(pulled: Pulled): Promise<SnapshotReader> {
    const { model, version } = pulled
    const kind = this.#kinds.get(model.kind)
    if (!kind)
      throw new TeatreeError(
        'UNKNOWN_KIND',
        `Model ${model.id} is of kind ${model.kind}, which this server does not know.`,
      )
    const readers = await this.readers(model.engine)
    const files = await this.#folder.filesOf(pulled)
    const reader = await readers.open({ kind, files }).catch(error => {
      throw error instanceof SnapshotMissing ? gone(model.id, version) : error
    })
    try {
      checkAsPublished(reader, versionOf(pulled))
      return reader
    } catch (error) {
      await reader.close()
      throw error
    }
  }

  /** Versions that nobody holds stay open as long as they are there. */
  async #closeReplaced(model: string): Promise<void> {
    try {
      const there = new Set((await this.#folder.versions(model)).map(keyOf))
      const dir = this.#folder.modelDir(model)
      for (const [key, { path, holders, reader }] of this.#open) {
        if (holders > 0 || there.has(key) || !path.startsWith(`${dir}/`)) continue
        this.#open.delete(key)
        await (await reader).close()
      }
    } catch (error) {
      this.#log.warn({ model, err: error }, 'a version that was replaced did not close')
    }
  }

  async close(): Promise<void> {
    for (const { reader } of this.#open.values()) await reader.then(open => open.close()).catch(() => {})
    for (const readers of this.#readers.values()) await (await readers).close()
  }
}

/** Null where it may yet be pulled. @throws TeatreeError */
function select(model: string, at: SnapshotAt | null, versions: readonly Pulled[]): Pulled | null {
  const [newest] = versions
  if (at === null) return newest ?? null
  if ('intent' in at) throw offline('intents')
  if ('asOf' in at) {
    // Of the versions between those that were pulled nothing is known here.
    const then = versions.find(({ publishedAt }) => publishedAt === at.asOf)
    if (then) return then
    throw offline('the instants at which versions were the newest')
  }
  if ('atLeast' in at) return newest && newest.version >= at.atLeast ? newest : null
  const found = versions.find(({ version }) => version === at.version)
  if (!found && newest && at.version < newest.version) throw gone(model, at.version)
  return found ?? null
}

const versionOf = ({ model, version, lastSeq, completions, publishedAt, tables }: Pulled): Version => ({
  model: model.id,
  version,
  epoch: 0,
  lastSeq: BigInt(lastSeq),
  completions: BigInt(completions),
  publishedAt,
  tables,
  kept: true,
  lost: false,
})

const gone = (model: string, version: number) =>
  new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is not among those that were pulled.`)

/** Two models on Arrow that were filled alike have the same checksum, each in files of its own. */
const keyOf = ({ model, content }: Pulled) => `${model.id} ${content.sha256}`
