import { expect, test } from 'vitest'
import { mapped } from '../../src/resolvers/mapped.ts'
import { Subscription } from '../../src/server/subscription.ts'

/** A subscription to numbers, whose source says when it has been left, as one does that holds a place while it is followed. */
function subscribed(execute: (event: unknown) => Promise<object>) {
  const over = new AbortController()
  const left = Promise.withResolvers<string>()
  async function* events() {
    try {
      yield 1
      yield 2
    } finally {
      left.resolve('left')
    }
  }
  const source = mapped(events(), event => event)
  const subscription = new Subscription({
    source,
    execute: event => ({ result: execute(event), leave: () => {} }),
    over,
  })
  return { subscription, over, left: left.promise }
}

test('a source that is between two events is left when its subscription is over', async () => {
  const { subscription, left } = subscribed(async event => ({ data: { event } }))
  const results = subscription.results()
  expect(await results.next()).toEqual({ done: false, value: { data: { event: 1 } } })
  await results.return?.()
  expect(await Promise.race([left, new Promise(setImmediate)])).toBe('left')
})

test('a source is left where its subscription is over while an event is executed', async () => {
  const executed = Promise.withResolvers<object>()
  const begun = Promise.withResolvers<void>()
  const { subscription, over, left } = subscribed(() => {
    begun.resolve()
    return executed.promise
  })
  const ended = subscription.sent(() => undefined).next()
  await begun.promise
  over.abort()
  executed.reject(new Error('nobody waits'))
  expect(await ended).toEqual({ done: true, value: undefined })
  expect(await Promise.race([left, new Promise(setImmediate)])).toBe('left')
})
