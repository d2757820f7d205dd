/** Requests at once. */
const CONNECTIONS = 4

/** Does the work for each, a few at a time. Where one fails the others are stopped, and it says why. */
export async function eachAtOnce<T>(
  all: readonly T[],
  signal: AbortSignal,
  work: (each: T, signal: AbortSignal) => Promise<void>,
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
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  signal.throwIfAborted()
  // What failed first is why the others were stopped.
  if (failed.signal.aborted) throw failed.signal.reason
}
