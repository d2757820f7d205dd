import { fork } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { errno } from '../../platform/errno.ts'
import { syncPath } from '../../platform/sync-path.ts'
import type { BlockManifest, Checksums, SnapshotFiles } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { BASE, BASE_WAL, DATABASE, databaseOf, walOf } from './database.ts'
import { blockManifest, checkManifest, copyChecked, copyWalChecked, linkOrCopy } from './snapshot-files.ts'

/** The child's file, in whichever form this one is run. */
const PROGRAM = import.meta.filename.replace(/clean-file(\.\w+)$/, 'clean-file-process$1')
const MAX_REASON = 2_000
/** So long the process may take: a while, and for each byte of the file what a slow disk does. */
const LIMIT_MS = { least: 60_000, byte: 1e-4 }

/**
 * The version as one DuckDB file at `to`, without a WAL and synced: what leaves the house. What is one file already is
 * linked. Made twice from a base and a WAL it holds the same, and may differ in bytes that hold nothing: the first that is
 * handed out is the one. Blocks that are the base's keep their places and bytes.
 * @throws SnapshotMissing where a file is not there (any more)
 * @throws SnapshotDamaged where it is not what its checksum says
 * @throws SurroundingsError
 */
export async function exportFile(of: Of, to: string, limitMs = LIMIT_MS): Promise<BlockManifest> {
  try {
    const manifest = BASE_WAL in of.files ? await merge(of, to, limitMs) : await linked(of, to)
    await syncPath(to)
    return manifest
  } catch (error) {
    if (error instanceof SurroundingsError || error instanceof SnapshotDamaged) throw error
    if (errno(error) === 'ENOENT') throw new SnapshotMissing("the version's files are gone", { cause: error })
    throw new SurroundingsError('the file could not be made', error)
  }
}

interface Of {
  version: number
  files: SnapshotFiles
  checksums?: Checksums | undefined
}

async function linked({ files, checksums }: Of, to: string): Promise<BlockManifest> {
  await linkOrCopy(databaseOf(files), to)
  const manifest = await blockManifest(to)
  checkManifest(manifest, checksums?.[DATABASE in files ? DATABASE : BASE])
  return manifest
}

/** Has DuckDB write the WAL into a copy of the base. */
async function merge({ version, files, checksums }: Of, to: string, limit: typeof LIMIT_MS): Promise<BlockManifest> {
  const base = await copyChecked(databaseOf(files), to, checksums?.[BASE])
  await copyWalChecked(files[BASE_WAL] ?? '', walOf(to), checksums?.[BASE_WAL])
  await checkpoint(to, version, limit.least + limit.byte * base.bytes)
  if (await isThere(walOf(to))) throw new Error('DuckDB left a WAL behind')
  // All of it: DuckDB's own checksums cannot tell that words of a block have changed places.
  return blockManifest(to)
}

/**
 * In a process of its own: the base is somebody's data, and what native code makes of it must neither end a server that
 * has others to serve nor take for ever.
 */
async function checkpoint(path: string, version: number, limitMs: number): Promise<void> {
  const child = fork(PROGRAM, [path, String(version)], {
    cwd: dirname(path),
    execArgv: [],
    env: {
      PATH: process.env.PATH,
      LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH,
      TMPDIR: dirname(path),
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const late = setTimeout(() => child.kill('SIGKILL'), limitMs)
  try {
    const [[code, killedBy], reason] = await Promise.all([once(child, 'close'), child.stderr ? text(child.stderr) : ''])
    if (code !== 0)
      throw new SurroundingsError('the file could not be made', reason.slice(0, MAX_REASON) || `${killedBy ?? code}`)
  } finally {
    clearTimeout(late)
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
