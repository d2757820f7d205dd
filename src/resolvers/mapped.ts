/** What the items are made of, one after the other. A generator would wait a turn more for each, of very many who are told. */
export function mapped<T, U>(items: AsyncIterator<T, void>, map: (item: T) => U): AsyncIterableIterator<U, void> {
  return {
    async next() {
      const { done, value } = await items.next()
      return done ? { done, value: undefined } : { done: false, value: map(value) }
    },
    // Who stops between two items would leave them where they are for ever, with all that they hold.
    async return() {
      await items.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
