import { expect, test } from 'vitest'
import { Ledger, type Submission } from '../../src/jobs/ledger.ts'
import { Queue } from '../../src/jobs/queue.ts'
import { Database } from '../../src/platform/postgres.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { openManaged } from '../support/managed.ts'
import { trialsOn } from '../support/trials.ts'

test('the same submission fifty times at once, from two nodes, is one intent with one seq', async () => {
  await using stack = new AsyncDisposableStack()
  const managed = stack.use(await openManaged({ kindsDir: TRIAL_KINDS }))
  const { entries, newModel } = trialsOn(managed)
  const connect = { url: managed.url, name: 'node', connections: 10, onError: () => {} }
  const db = stack.adopt(new Database(connect), open => open.close())
  const queue = stack.adopt(await Queue.start({ ...connect, supervise: false, listen: false }), open => open.close())
  const nodes = [managed.ledger, new Ledger(db, queue)]
  const model = await newModel()
  await managed.startManager().hold(model)
  const submission = (entryId: string): Submission => ({
    model,
    function: 'appendTrialEntries',
    arguments: { rows: [{ entryId, note: null }] },
    alone: false,
    idempotencyKey: 'once',
  })
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => nodes[index % nodes.length]?.submit(submission('A'))),
  )
  expect(new Set(answers.map(intent => `${intent?.id} ${intent?.seq}`)).size).toBe(1)
  const other = await Promise.allSettled(nodes.map(node => node.submit(submission('B'))))
  for (const refused of other) expect(refused).toMatchObject({ reason: { code: 'IDEMPOTENCY_CONFLICT' } })
  expect(await managed.ended(answers[0]?.id ?? '')).toMatchObject({ status: 'PUBLISHED', seq: 1n, version: 1 })
  expect(await managed.ledger.countIntents({ model })).toBe(1)
  expect(await entries(model)).toEqual(['A'])
  // The refused ones have used up no seq.
  const next = await managed.ledger.submit({ ...submission('C'), idempotencyKey: 'another' })
  expect(next.seq).toBe(2n)
})
