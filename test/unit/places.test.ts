import { expect, test } from 'vitest'
import { Places } from '../../src/jobs/places.ts'

test('no more run at once than there are places, in the order that they came, and a failure gives its place back', async () => {
  const places = new Places(2)
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const begun: number[] = []
  const all = gates.map((gate, index) =>
    places.use(() => {
      begun.push(index)
      return gate.promise
    }),
  )
  const turn = () => new Promise(resolve => setImmediate(resolve))
  await turn()
  expect(begun).toEqual([0, 1])
  gates[1]?.reject(new Error('this one'))
  await expect(all[1]).rejects.toThrow('this one')
  await turn()
  expect(begun).toEqual([0, 1, 2])
  for (const gate of gates) gate.resolve()
  await Promise.allSettled(all)
  expect(begun).toEqual([0, 1, 2, 3, 4])
  await places.use(async () => {})
})
