import { utimes } from 'node:fs/promises'

/** Many times shorter than what is not written to for so long that it is taken for a dead process's. */
const EVERY_MS = 5 * 60_000

/**
 * Has the folders of a living process seem to have been written to, again and again until the answer is called: others
 * remove what is old there, and something may be made in them once and read, or waited with, for long.
 */
export function keepYoung(folders: () => Iterable<string>, everyMs = EVERY_MS): () => void {
  const timer = setInterval(() => {
    const now = Date.now() / 1000
    // One that is not there yet, or any more, is nobody's.
    for (const folder of folders()) utimes(folder, now, now).catch(() => {})
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
