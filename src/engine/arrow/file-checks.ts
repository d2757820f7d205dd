import { stat } from 'node:fs/promises'
import { LRUCache } from 'lru-cache'
import { errno } from '../../platform/errno.ts'
import type { SnapshotFile } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { checksum } from './checksum.ts'

/** Files that are known to be sound. */
const MOST = 100_000

/**
 * Holds files against their checksums before they are read for the first time, each once in a process, in however many
 * versions it is: Arrow files have no checksums in them, and what is damaged may make Polars end its process.
 */
export class FileChecks {
  readonly #checks = new LRUCache<string, Promise<void>>({ max: MOST })

  /** @throws SnapshotDamaged where the file is not what was written; SnapshotMissing where it is not there (any more) */
  async check(path: string, { name, bytes, sha256 }: SnapshotFile): Promise<void> {
    try {
      const { dev, ino, mtimeNs, size } = await stat(path, { bigint: true })
      if (size !== BigInt(bytes))
        throw new SnapshotDamaged(`the version's file ${name} is of another length than was written`)
      const key = `${dev} ${ino} ${mtimeNs} ${sha256}`
      const check = this.#checks.get(key) ?? checkBytes(path, name, sha256)
      this.#checks.set(key, check)
      check.catch(() => this.#checks.delete(key))
      await check
    } catch (cause) {
      if (errno(cause) === 'ENOENT') throw new SnapshotMissing(`the version's file ${name} is gone`, { cause })
      throw cause
    }
  }
}

async function checkBytes(path: string, name: string, sha256: string): Promise<void> {
  const found = await checksum(path)
  if (found.sha256 !== sha256) throw new SnapshotDamaged(`the version's file ${name} is damaged`)
}
