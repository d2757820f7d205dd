import { open } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { SnapshotFiles, SnapshotRef } from '../../src/engine/engine.ts'
import type { Row } from '../../src/kinds/types.ts'
import { arrow, engines, type TestEngine } from './engines.ts'
import { orchard } from './reader-model.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

const extreme: Row = {
  name: 'n\'"\u2028',
  batch: null,
  note: '',
  boxes: -2147483648,
  code: '9223372036854775807',
  amount: '-99999999999999.9999',
  weight: '9999999999999999999999999999.9999999999',
  sugar: 5e-324,
  sold: true,
  day: '0001-01-01',
  weighedAt: '9999-12-31T23:59:59.999999Z',
  field: 1,
  part: null,
  growerId: '\u{1F600}',
}
const harvests: Row[] = [
  extreme,
  { ...Object.fromEntries(Object.keys(extreme).map(name => [name, null])), name: 'nothing' },
  ...Array.from({ length: 3000 }, (_, at) => ({
    ...extreme,
    name: `tree ${String(at).padStart(4, '0')}`,
    batch: at % 3 === 0 ? null : at,
    code: String(-at),
    weight: `-${at}.0000000001`,
    sugar: at / 7,
    day: at % 2 === 0 ? null : '2024-02-29',
  })),
]
const byName = (rows: readonly Row[]) => rows.toSorted((a, b) => (String(a.name) < String(b.name) ? -1 : 1))
const growers: Row[] = [{ growerId: '', region: null, since: '2024-02-29' }]

async function source(engine: TestEngine): Promise<WriterModel & { ref: SnapshotRef; files: SnapshotFiles }> {
  const model = await WriterModel.open(orchard, { engine })
  await model.apply(
    { is: 'append', table: 'harvests', rows: harvests },
    { is: 'append', table: 'growers', rows: growers },
  )
  const { files, made } = await model.snapshot()
  const checksums = Object.fromEntries(made.map(({ name, sha256 }) => [name, sha256]))
  const ref = { alias: 'source', model: 'orchard-1', kind: 'orchard', version: 1, files, checksums, epoch: 1 }
  return Object.assign(model, { ref, files })
}

describe.each(engines.flatMap(from => engines.map(to => ({ from, to }))))(
  'a model on $to.name, out of one on $from.name',
  ({ from, to }) => {
    test('begins with every value of it', async () => {
      await using model = await source(from)
      await using scenario = await WriterModel.open(orchard, { engine: to })
      await scenario.apply({ is: 'append', table: 'plots', rows: [{ field: 1, part: null }] })
      const [outcome] = await scenario.apply({ is: 'copy', from: model.ref })
      expect(resultOf(outcome)).toEqual({ inserted: String(harvests.length + 1), updated: '0', deleted: '1' })
      const begun = await scenario.snapshot()
      expect(await to.rows(begun.files, orchard, 'harvests')).toEqual(byName(harvests))
      expect(await to.rows(begun.files, orchard, 'growers')).toEqual(growers)
      expect(await to.rows(begun.files, orchard, 'plots')).toEqual([])
      expect(begun.tables.map(({ name, rows }) => [name, rows])).toEqual([
        ['growers', 1],
        ['plots', 0],
        ['harvests', harvests.length],
      ])
      const [again] = await scenario.apply({ is: 'append', table: 'harvests', rows: [extreme] })
      expect(refusedWith(again).code).toBe('KEY_CONFLICT')
      await scenario.reopen((await scenario.snapshot()).files)
      expect(await scenario.rows('harvests')).toEqual(byName(harvests))
      expect(await from.rows(model.files, orchard, 'harvests')).toEqual(byName(harvests))
    })

    test('imports a table of it exactly, each mode as it says', async () => {
      await using model = await source(from)
      await using into = await WriterModel.open(orchard, { engine: to })
      const changed = { ...extreme, note: 'changed' }
      const own = { ...extreme, name: 'own' }
      await into.apply({ is: 'append', table: 'harvests', rows: [changed, own] })
      const importing = (mode: 'APPEND' | 'UPSERT' | 'REPLACE') =>
        into.apply({
          ...{ is: 'import', table: 'harvests', mode },
          source: { is: 'snapshot', snapshot: model.ref, table: 'harvests' },
        })
      const [refused] = await importing('APPEND')
      expect(refusedWith(refused)).toMatchObject({ code: 'KEY_CONFLICT', cells: [{ row: 1, column: 'name, batch' }] })
      const [upserted] = await importing('UPSERT')
      expect(resultOf(upserted)).toMatchObject({ inserted: String(harvests.length - 1), updated: '1', deleted: '0' })
      expect(await into.rows('harvests')).toEqual(byName([...harvests, own]))
      const [replaced] = await importing('REPLACE')
      const rows = String(harvests.length)
      expect(resultOf(replaced)).toMatchObject({ inserted: rows, deleted: String(harvests.length + 1) })
      expect(await into.rows('harvests')).toEqual(byName(harvests))
    })

    test('is not made of a damaged one', async () => {
      await using model = await source(from)
      const name = from === arrow ? Object.keys(model.files).find(each => each.startsWith('harvests')) : 'model.duckdb'
      await damage(model.files[name ?? ''] ?? '')
      await using scenario = await WriterModel.open(orchard, { engine: to })
      const error = await scenario.apply({ is: 'copy', from: model.ref }).catch(error => error)
      expect(causes(error)).toContain('SNAPSHOT_DAMAGED')
    })
  },
)

/** Turns over a bit in the midst of a file. */
async function damage(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const at = Math.floor(size / 2)
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await file.write(byte, 0, 1, at)
}

function causes(error: unknown): unknown[] {
  if (!(error instanceof Error)) return []
  return ['code' in error ? error.code : undefined, ...causes(error.cause)]
}
