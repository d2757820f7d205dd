import type { Log } from '../platform/log.ts'
import type { Completions } from './completions.ts'
import type { OpenVersions } from './open-versions.ts'
import { PerKey } from './per-key.ts'
import type { Version } from './records.ts'

/**
 * Opens the new version of a model as soon as there is one, where the one before is in use: the first query that asks for
 * it finds it open, or the opening under way. Of several that come quickly only the newest is opened, one at a time.
 *
 *   published ─ notice ─▶ opened ─▶ queries at the newest
 *                          └ those under way end on theirs, and what they held is closed
 *
 * Which version is the newest the database alone says, to every query: this only makes it ready.
 */
export class ReaderSwitch {
  readonly #runs: PerKey
  readonly #stopNotices: () => void

  constructor(deps: {
    completions: Completions
    versions: OpenVersions
    /** Null where the model is not there. */
    newest(model: string): Promise<Version | null>
    log: Log
  }) {
    const { versions, log } = deps
    this.#runs = new PerKey(async model => {
      try {
        const version = await deps.newest(model)
        if (version) await versions.prepare(version)
      } catch (error) {
        // Who asks for it will be told.
        log.debug({ model, err: error }, 'the new version was not opened beforehand')
      }
    })
    this.#stopNotices = deps.completions.onNotice(notice => {
      if (notice.is === 'ended' && versions.isUsed(notice.model)) this.#runs.request(notice.model)
    })
  }

  close(): Promise<void> {
    this.#stopNotices()
    return this.#runs.close()
  }
}
