import { fork } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import type { BlockManifest, SnapshotFiles } from '../engine.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { BASE_WAL, databaseOf, walOf } from './database.ts'
import { SurroundingsError } from './errors.ts'
import { blockManifest, copyForUse, linkOrCopy, syncPath } from './snapshot-files.ts'

/** The child's file, in whichever form this one is run. */
const PROGRAM = import.meta.filename.replace(/clean-file(\.\w+)$/, 'clean-file-process$1')
const MAX_REASON = 2_000

/**
 * The version as one DuckDB file at `to`, without a WAL and synced: what leaves the house. What is one file already is
 * linked. Made twice from a base and a WAL it holds the same, and may differ in bytes that hold nothing: the first that is
 * handed out is the one. Blocks that are the base's keep their places and bytes.
 * @throws SnapshotMissing where a file is not there (any more)
 * @throws SurroundingsError
 */
export async function exportFile(
  { version, files }: { version: number; files: SnapshotFiles },
  to: string,
): Promise<BlockManifest> {
  try {
    const { [BASE_WAL]: wal } = files
    if (wal === undefined) await linkOrCopy(databaseOf(files), to)
    else await merge(databaseOf(files), wal, { to, version })
    await syncPath(to)
    return await blockManifest(to)
  } catch (error) {
    if (error instanceof SurroundingsError) throw error
    if (codeOf(error) === 'ENOENT') throw new SnapshotMissing("the version's files are gone", { cause: error })
    throw new SurroundingsError('the file could not be made', error)
  }
}

/**
 * Has DuckDB write the WAL into a copy of the base. It is done in a process of its own: the base is somebody's data, and
 * what native code makes of it must not end a server that has others to serve.
 */
async function merge(base: string, wal: string, { to, version }: { to: string; version: number }): Promise<void> {
  await copyForUse(base, to)
  await copyForUse(wal, walOf(to))
  const child = fork(PROGRAM, [to, String(version)], {
    cwd: dirname(to),
    execArgv: [],
    env: { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH, TMPDIR: dirname(to) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const [[code, killedBy], reason] = await Promise.all([once(child, 'close'), child.stderr ? text(child.stderr) : ''])
  if (code !== 0)
    throw new SurroundingsError('the file could not be made', reason.slice(0, MAX_REASON) || `${killedBy ?? code}`)
  if (await isThere(walOf(to))) throw new Error('DuckDB left a WAL behind')
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code
