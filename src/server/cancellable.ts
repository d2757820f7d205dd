/**
 * A signal, and what graphql-ws can keep among an operation's running generators: its `return`, which is called when the
 * client completes the operation or goes away, aborts the signal. Without it a query would run on for nobody.
 */
export function cancellable(): { signal: AbortSignal; handle: AsyncGenerator<never, undefined> } {
  const over = new AbortController()
  const handle: AsyncGenerator<never, undefined> = {
    next: async () => ({ done: true, value: undefined }),
    async return() {
      over.abort()
      return { done: true, value: undefined }
    },
    throw: error => Promise.reject(error),
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      over.abort()
    },
  }
  return { signal: over.signal, handle }
}
