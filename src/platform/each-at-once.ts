/** Of requests, or of files to be read and synced: more would be none the faster, and each holds memory and a place elsewhere. */
const A_FEW = 4

/** Does the work for each, a few at a time. Where one fails the others are stopped, and it says why. */
export async function eachAtOnce<T>(
  all: readonly T[],
  signal: AbortSignal,
  work: (each: T, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const left = all.values()
  const failed = new AbortController()
  const stopped = AbortSignal.any([signal, failed.signal])
  const worker = async () => {
    try {
      // One iterator for all of them.
      for (const each of left) await work(each, stopped)
    } catch (error) {
      failed.abort(error)
    }
  }
  await Promise.all(Array.from({ length: A_FEW }, worker))
  signal.throwIfAborted()
  // What failed first is why the others were stopped.
  if (failed.signal.aborted) throw failed.signal.reason
}
