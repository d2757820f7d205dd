import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { frameOf } from '../../src/engine/arrow/columns.ts'
import { KeyFilter, keyHashes } from '../../src/engine/arrow/key-filter.ts'
import { keyColumns } from '../../src/engine/arrow/key-ranges.ts'
import type { Table } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { arrow } from './engines.ts'
import { orchard } from './reader-model.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

const harvests = orchard.tables.get('harvests') as Table
const keys = (count: number): Row[] =>
  Array.from({ length: count }, (_, at) => ({ name: randomUUID(), batch: at % 3 === 0 ? null : at }))
const hashes = (rows: readonly Row[]) => keyHashes(harvests, frameOf(keyColumns(harvests), rows).lazy())

test('a filter holds every key that it was made of, and few others', async () => {
  const [held, others] = [keys(20_000), keys(20_000)]
  const filter = new KeyFilter(await hashes(held))
  const holds = (all: Uint32Array) =>
    Array.from({ length: all.length / 2 }, (_, at) => filter.mayHoldAny(all.subarray(at * 2, at * 2 + 2)))
  expect(holds(await hashes(held)).every(Boolean)).toBe(true)
  expect(holds(await hashes(others)).filter(Boolean).length).toBeLessThan(100)
  expect(filter.mayHoldAny(new Uint32Array(0))).toBe(false)
})

test('keys in no order are found among many, whatever else is written', async () => {
  await using model = await WriterModel.open(orchard, { engine: arrow })
  const held = keys(12_000)
  const append = (rows: Row[]) => ({ is: 'append', table: 'harvests', rows }) as const
  for (let at = 0; at < held.length; at += 3000) {
    resultOf((await model.apply(append(held.slice(at, at + 3000))))[0])
    await model.snapshot()
  }
  for (const at of [0, 2999, 3000, 11_998, 11_999]) {
    const [there, upserted] = await model.apply(append([...keys(5), held[at] ?? {}]), {
      ...append([{ ...held[at], note: 'again' }]),
      is: 'upsert',
    })
    expect(refusedWith(there).cells).toMatchObject([{ row: 6 }])
    expect(resultOf(upserted)).toMatchObject({ inserted: '0', updated: '1' })
    resultOf((await model.apply(append(keys(5))))[0])
  }
  expect(await model.rows('harvests')).toHaveLength(12_025)
})
