/** A look that does not come back is not waited for longer than this by those who come after. */
const PENDING_MS = 10_000

/** Has `look` look at most once in `ms` and once at a time: those who ask meanwhile share what it finds, or its failure. */
export function recent<T>(ms: number, look: () => Promise<T>): () => Promise<T> {
  let last: { at: number; pending: boolean; found: Promise<T> } | null = null
  return () => {
    const age = last === null ? Number.POSITIVE_INFINITY : performance.now() - last.at
    if (last !== null && age < (last.pending ? Math.max(ms, PENDING_MS) : ms)) return last.found
    const found = look()
    const mine = { at: performance.now(), pending: true, found }
    last = mine
    const settled = () => {
      mine.pending = false
    }
    found.then(settled, settled)
    return found
  }
}

/** What `promise` settles with, or a failure after `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
