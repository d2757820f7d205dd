import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DiffRow, Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { ALL, type DiffPlan } from '../../src/engine/plan.ts'
import type { Row } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { contents, filterOn, runs, tableOf } from './reader-plans.ts'

describe.each(engines)('$name', engine => {
  let folder: TestFolder
  let readers: Readers
  beforeAll(async () => {
    folder = await testFolder(engine)
    readers = await engine.startReaders()
  })
  afterAll(async () => {
    await readers.close()
    await folder[Symbol.asyncDispose]()
  })

  async function walk(newer: SnapshotReader, older: SnapshotReader, plan: DiffPlan): Promise<DiffRow[]> {
    const changes: DiffRow[] = []
    for (let next = plan; ; ) {
      const page = await newer.diff(older, next)
      changes.push(...page)
      const last = page.at(-1)
      if (!last || page.length < plan.limit) return changes
      next = { ...plan, after: last.key }
    }
  }

  /** Two versions that share most of their rows: some kept, some changed in one column, others in one version alone. */
  const versions = fc
    .tuple(contents(orchard), contents(orchard), fc.infiniteStream(fc.nat(4)))
    .map(([one, other, choices]) => {
      const harvests = (one.harvests ?? []).flatMap((row): Row[] => {
        const choice = choices.next().value
        return choice === 0 ? [] : choice === 1 ? [{ ...row, note: 'changed' }] : [row]
      })
      const keys = new Set(harvests.map(({ name, batch }) => JSON.stringify([name, batch])))
      const added = (other.harvests ?? []).filter(({ name, batch }) => !keys.has(JSON.stringify([name, batch])))
      return { older: one, newer: { ...other, harvests: [...harvests, ...added.slice(0, 8)] } }
    })
  const harvests = tableOf('harvests')
  const plans = fc.record({
    table: fc.constantFrom('harvests', 'plots'),
    where: fc.constant(ALL),
    columns: fc.constant(['field']),
    limit: fc.integer({ min: 1, max: 9 }),
  })
  const filtered = fc.record({
    table: fc.constant('harvests'),
    where: filterOn(harvests),
    columns: fc.subarray([...harvests.columns.keys()]),
    limit: fc.integer({ min: 1, max: 9 }),
  })

  test('what changed between two versions is what a plain comparison by key finds, page by page', async () => {
    await fc.assert(
      fc.asyncProperty(versions, fc.oneof(plans, filtered), async (rows, plan) => {
        const [older, newer] = await Promise.all(
          [rows.older, rows.newer].map(async of =>
            readers.open({ kind: orchard, files: await folder.snapshot(orchard, of) }),
          ),
        )
        if (!older || !newer) throw new Error('not open')
        try {
          const expected = new Oracle(orchard, rows.newer).diff(new Oracle(orchard, rows.older), plan)
          expect(await walk(newer, older, plan)).toEqual(expected)
          expect(await newer.diff(newer, plan)).toEqual([])
        } finally {
          await Promise.all([older.close(), newer.close()])
        }
      }),
      runs(15),
    )
  })

  test('both versions must be open in the same readers', async () => {
    const others = await engine.startReaders()
    try {
      const files = await folder.snapshot(orchard, {})
      const here = await readers.open({ kind: orchard, files })
      const there = await others.open({ kind: orchard, files })
      const plan: DiffPlan = { table: 'plots', columns: ['area'], where: ALL, limit: 1 }
      await expect(here.diff(there, plan)).rejects.toThrow('same readers')
      await here.close()
    } finally {
      await others.close()
    }
  })
})
