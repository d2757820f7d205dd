import { expect, test } from 'vitest'
import type { Version } from '../../src/jobs/records.ts'
import type { Services } from '../../src/jobs/services.ts'
import { Reading } from '../../src/resolvers/reading.ts'
import { KeptAnswers, type WholeAnswer } from '../../src/server/kept-answers.ts'

const { signal } = new AbortController()
const answer = (bytes: number): WholeAnswer => ({ status: 200, headers: {}, bytes: Buffer.alloc(bytes), lasts: false })
/** Of nothing: it is right for ever. */
const nothing = () => new Reading({} as Services['snapshots'])

test('answers are kept within a bound in bytes, and the last used of them', async () => {
  const answers = new KeptAnswers({ maxBytes: 1 << 20 })
  for (let n = 0; n < 100; n++) {
    answers.keep(`asked ${n}`, answer(20_000), nothing())
    expect(await answers.find('asked 0', signal)).not.toBeNull()
  }
  const found = await Promise.all(Array.from({ length: 100 }, (_, n) => answers.find(`asked ${n}`, signal)))
  const kept = found.filter(each => each !== null)
  expect(kept.length).toBeGreaterThan(40)
  expect(kept.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(1 << 20)
  answers.keep('too large', answer(70_000), nothing())
  expect(await answers.find('too large', signal)).toBeNull()
})

test('an answer of a model whose version was not read does not count as whole', () => {
  const reading = nothing()
  expect(reading.isComplete).toBe(true)
  reading.found('a')
  expect(reading.isComplete).toBe(false)
  reading.chose(null, { model: 'a', version: 3 } as Version)
  reading.found('b')
  expect(reading.isComplete).toBe(false)
})
