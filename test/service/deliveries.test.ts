import { buildSchema, type GraphQLError, parse } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Deliveries } from '../../src/server/deliveries.ts'
import { follow } from '../../src/server/operations.ts'
import { openApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

test('an answer with an error is not given to those who ask again: the next one may be without', async () => {
  const schema = buildSchema('type Query { none: Int } type Subscription { event: Event } type Event { value: Int }')
  let executions = 0
  const value = () => {
    executions += 1
    if (executions === 1) throw new Error('away')
    return executions
  }
  const fields = schema.getSubscriptionType()?.getFields() ?? {}
  Object.assign(fields.event ?? {}, {
    async *subscribe() {
      yield { key: 'the same', event: { value } }
    },
  })
  const deliveries = new Deliveries(api.services, error => error as GraphQLError)
  const answer = async () => {
    const { signal } = new AbortController()
    const args = { schema, document: parse('subscription { event { value } }'), contextValue: { signal } }
    const events = await follow({ services: api.services, deliveries }, args)
    if (!(Symbol.asyncIterator in events)) throw new Error(JSON.stringify(events))
    return (await events.next()).value
  }
  expect((await answer()).errors?.[0]?.message).toBe('away')
  expect(await answer()).toEqual({ data: { event: { value: 2 } } })
  expect(await answer()).toEqual({ data: { event: { value: 2 } } })
})
