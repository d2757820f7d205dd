import { copyFile, type FileHandle, open, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { Home } from './home.ts'
import { lastLines } from './program.ts'

/** Beyond this many bytes the log is set aside as `server.log.1`, in the place of the one before. */
const LOG_BYTES = 4 * 1024 * 1024
const CHECK_MS = 60_000

/** The log, open to be appended to: the server must hold it so, or a truncated log would not become short. */
export async function openLog(home: Home): Promise<FileHandle> {
  await trim(home)
  return await open(logFile(home), 'a', 0o600)
}

/** The end of what the log says from the byte `since` on, on one line. */
export async function endOfLog(home: Home, since: number): Promise<string> {
  const handle = await open(logFile(home)).catch(() => undefined)
  if (!handle) return ''
  try {
    const { size } = await handle.stat()
    const length = Math.max(0, Math.min(size - since, 4096))
    const { buffer } = await handle.read({ buffer: Buffer.alloc(length), position: size - length })
    return lastLines(buffer.toString('utf8'))
  } finally {
    await handle.close()
  }
}

/** Keeps the log within its bound while the server is in use, until the returned function is called. */
export function keepLogBounded(home: Home): () => void {
  // A failure here, such as a full disk, is nobody's concern: the next check tries again.
  const timer = setInterval(() => trim(home).catch(() => {}), CHECK_MS).unref()
  return () => clearInterval(timer)
}

/** PostgreSQL's own rotation is bounded by time alone, and its collector would hide what a failed start says. */
async function trim(home: Home): Promise<void> {
  const file = logFile(home)
  const { size } = await stat(file).catch(() => ({ size: 0 }))
  if (size <= LOG_BYTES) return
  await copyFile(file, `${file}.1`)
  await truncate(file)
}

function logFile(home: Home): string {
  return join(home.path, 'server.log')
}
