import { resolve } from 'node:path'
import { PulledFolder } from '../jobs/offline/pulled-folder.ts'
import { UsageError } from '../platform/errors.ts'
import { AnsweredError, type Server, Unreachable } from './client.ts'
import { type Progress, showProgress } from './progress.ts'
import { bringVersion } from './pull/bring-version.ts'
import { Patience, type PatienceOptions } from './pull/patience.ts'
import { askForVersion, parseWanted, type RemoteVersion, VersionMoved, type Wanted } from './pull/remote-version.ts'
import { abortOn } from './stop.ts'

export interface PullOptions extends Server {
  to: string
  patience?: PatienceOptions
}

/** A version that moves on under a pull is asked for anew this often. */
const MAX_MOVES = 10
/** A server that does not answer at all is not waited for long. */
const ASKING: PatienceOptions = { tries: 4 }

/** What a pull came to; `fetched` are the bytes that came over the wire. */
export interface PullOutcome {
  version: number
  bytes: number
  fetched: number
}

/**
 * `teatree pull MODEL[@VERSION] --to DIR`: the version on this machine, every part of it held against its checksum. What an earlier pull
 * brought, whole or not, is not fetched again.
 */
export async function pull(spec: string, options: PullOptions): Promise<PullOutcome> {
  const wanted = parseWanted(spec)
  const signal = options.signal ?? abortOn(['SIGTERM', 'SIGINT'])
  using progress = showProgress(`Pulling ${wanted.model}`)
  const outcome = await pullVersion(wanted, { ...options, signal }, progress)
  const { version, bytes, fetched } = outcome
  progress.done(`version ${version}: ${bytes} bytes, ${fetched} bytes came over the wire`)
  return outcome
}

async function pullVersion(
  wanted: Wanted,
  options: PullOptions & { signal: AbortSignal },
  progress: Progress,
): Promise<PullOutcome> {
  const folder = new PulledFolder(resolve(options.to))
  let fetched = 0
  const onBytes = (bytes: number) => {
    fetched += bytes
  }
  const report = (step: string, share: number | null) => progress.at(step, share)
  for (let moves = 1; ; moves++) {
    report('ask', null)
    try {
      const remote = await asked(options, () => askForVersion(options, wanted, onBytes))
      const { signal, patience } = options
      await bringVersion(remote, { folder, server: options, signal, patience, onBytes, report })
      return { version: remote.details.version, bytes: sizeOf(remote), fetched }
    } catch (error) {
      if (options.signal.aborted) throw new UsageError('stopped; the same command goes on from here', { cause: error })
      if (!(error instanceof VersionMoved)) throw named(error, options.to)
      if (error.gone && wanted.version !== null) throw error.gone
      if (moves === MAX_MOVES)
        throw new UsageError(`${wanted.model} moves on faster than it can be pulled; pin a version and pull that`)
    }
  }
}

const sizeOf = (remote: RemoteVersion): number =>
  remote.is === 'file'
    ? remote.manifest.bytes
    : remote.files.reduce((sum, { bytes }) => sum + bytes, remote.manifest.length)

async function asked(options: PullOptions, ask: () => Promise<RemoteVersion>): Promise<RemoteVersion> {
  const patience = new Patience({ ...ASKING, ...options.patience, ...(options.signal && { signal: options.signal }) })
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      // A body that breaks off is a TypeError of fetch.
      const busy = error instanceof AnsweredError && error.code === 'UNAVAILABLE'
      if (!(error instanceof Unreachable || error instanceof TypeError || busy)) throw error
      await patience.failed(
        error,
        error instanceof UsageError ? error.message : `${options.url} breaks off its answers`,
      )
    }
  }
}

/** What the disk has against it, in one line. */
function named(error: unknown, dir: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  return code !== undefined && /^E[A-Z]+$/.test(code)
    ? new UsageError(`${dir} cannot be written to: ${message}`, { cause: error })
    : error
}
