import { hash } from 'node:crypto'
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyRun, lastRun } from '../../src/engine/arrow/compaction.ts'
import { openVersion } from '../../src/engine/arrow/manifest.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'
import type { Filter } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Row } from '../../src/kinds/types.ts'
import lab from '../support/kinds/lab.ts'
import { arrow } from './engines.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

const kind = checkKind(lab)
const sample = (sampleId: string, origin: string | null = null): Row => ({
  sampleId,
  collectedAt: '2013-01-31T09:00:00.000001Z',
  volume: null,
  origin,
})
const samples = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => sample(`s${String(from + at).padStart(6, '0')}`))
const append = (...rows: Row[]) => ({ is: 'append', table: 'samples', rows }) as const
const named = (op: 'eq' | 'lt' | 'gte', value: string) => ({ is: 'compare', column: 'sampleId', op, value }) as const

const filesOf = async (files: SnapshotFiles) => (await openVersion(files)).manifest.tables.samples ?? []
const inodes = async (files: SnapshotFiles) =>
  Promise.all((await filesOf(files)).map(async ({ name }) => (await stat(files[name] ?? '')).ino))

describe('a version', () => {
  test('is the files that its checksums say, and never changes', async () => {
    await using model = await WriterModel.open(kind, { engine: arrow })
    await model.apply(append(...samples(0, 100)))
    const first = await model.snapshot()
    const before = await Promise.all(first.made.map(({ name }) => readFile(first.files[name] ?? '')))
    for (const [index, { bytes, sha256 }] of first.made.entries()) {
      expect([before[index]?.length, hash('sha256', before[index] ?? '', 'hex')]).toEqual([bytes, sha256])
    }
    await model.apply(
      append(...samples(100, 300)),
      { is: 'update', table: 'samples', where: named('lt', 's000010'), set: { origin: 'changed' } },
      { is: 'delete', table: 'samples', where: named('gte', 's000290') },
      { is: 'upsert', table: 'samples', rows: [sample('s000050', 'upserted')] },
    )
    await model.snapshot()
    await model.writer.tidy()
    const after = await Promise.all(first.made.map(({ name }) => readFile(first.files[name] ?? '')))
    expect(after.map((bytes, index) => before[index]?.equals(bytes))).toEqual(before.map(() => true))
    expect(await arrow.rows(first.files, kind, 'samples')).toEqual(samples(0, 100))
  })

  test('shares with the one before what has not changed', async () => {
    await using model = await WriterModel.open(kind, { engine: arrow })
    await model.apply(append(...samples(0, 1000)))
    await model.snapshot()
    await model.apply(append(...samples(1000, 1100)))
    const before = await inodes((await model.snapshot()).files)
    await model.apply(append(...samples(1100, 1110)))
    const appended = await inodes((await model.snapshot()).files)
    expect(appended).toEqual([...before, expect.any(Number)])
    await model.apply({ is: 'update', table: 'samples', where: named('eq', 's001050'), set: { origin: 'x' } })
    const updated = await inodes((await model.snapshot()).files)
    expect([updated[0], updated[1] === appended[1], updated[2]]).toEqual([appended[0], false, appended[2]])
    await model.apply({ is: 'delete', table: 'samples', where: named('gte', 's001100') })
    expect(await inodes((await model.snapshot()).files)).toEqual(updated.slice(0, 2))
  })

  test('of which numbers are updated is made by setting them in copies, and by writing files anew where that is not all', async () => {
    const parcels = (columns: Record<string, 'VARCHAR?'>) =>
      checkKind({
        name: 'parcels',
        description: 'Parcels.',
        engines: ['ARROW'],
        tables: {
          parcels: {
            row: 'Parcel',
            description: 'Parcels.',
            key: ['parcelId'],
            writes: ['append', 'update'],
            columns: { parcelId: 'VARCHAR', grams: 'INTEGER', ...columns },
          },
        },
      })
    const parcel = (at: number) => ({ parcelId: `p${at}`, grams: at })
    await using model = await WriterModel.open(parcels({}), { engine: arrow })
    const rows = Array.from({ length: 70_000 }, (_, at) => parcel(at))
    await model.apply({ is: 'append', table: 'parcels', rows: rows.slice(0, 69_000) })
    await model.snapshot()
    await model.apply({ is: 'append', table: 'parcels', rows: rows.slice(69_000) })
    await model.reopen((await model.snapshot()).files, parcels({ note: 'VARCHAR?' }))
    const lacking = async () =>
      ((await openVersion((await model.snapshot()).files)).manifest.tables.parcels ?? []).map(({ lacks = [] }) => lacks)
    const update = async (where: Filter, set: Row) =>
      resultOf((await model.apply({ is: 'update', table: 'parcels', where, set }))[0]).updated
    const isOne = (...ids: string[]) => ({ is: 'in', column: 'parcelId', values: ids, negated: false }) as const
    const noted = { is: 'null', column: 'note', negated: false } as const
    expect(await update(isOne('p0', 'p68999', 'p69000'), { grams: -1 })).toBe('3')
    expect(await lacking()).toEqual([['note'], ['note']])
    // Of the first file these are more rows than are held in memory.
    expect(await update(noted, { grams: -2 })).toBe('70000')
    expect(await lacking()).toEqual([[], ['note']])
    expect(await update(isOne('p69999'), { note: 'late' })).toBe('1')
    expect(await update(noted, { grams: -3 })).toBe('69999')
    const found = await model.rows('parcels')
    expect(found.filter(({ grams }) => grams !== -3)).toEqual([{ parcelId: 'p69999', grams: -2, note: 'late' }])
    expect(found).toHaveLength(70_000)
  })

  test('has few files, however many appends it is made of, and its rows in their order', async () => {
    await using model = await WriterModel.open(kind, { engine: arrow })
    for (let at = 0; at < 60; at++) {
      await model.apply(append(...samples(at * 3, at * 3 + 3)))
      expect((await filesOf((await model.snapshot()).files)).length).toBeLessThanOrEqual(7)
    }
    const { files, tables } = await model.snapshot()
    expect(tables.find(({ name }) => name === 'samples')).toEqual({ name: 'samples', rows: 180, grownSince: 0 })
    expect(await arrow.rows(files, kind, 'samples')).toEqual(samples(0, 180))
  })

  test('in which rows were changed says so', async () => {
    await using model = await WriterModel.open(kind, { engine: arrow })
    const grownSince = async () => (await model.snapshot()).tables.find(({ name }) => name === 'samples')?.grownSince
    await model.apply(append(...samples(0, 3)))
    expect(await grownSince()).toBe(0)
    await model.apply({ is: 'upsert', table: 'samples', rows: samples(2, 4) })
    expect(await grownSince()).toBe(2)
    await model.apply(append(...samples(4, 5)))
    expect(await grownSince()).toBe(2)
    await model.apply({ is: 'delete', table: 'samples', where: named('eq', 'nobody') })
    expect(await grownSince()).toBe(2)
    await model.apply({ is: 'delete', table: 'samples', where: named('eq', 's000004') })
    expect(await grownSince()).toBe(5)
  })
})

describe('a writer', () => {
  async function published(): Promise<WriterModel & { files: SnapshotFiles }> {
    const model = await WriterModel.open(kind, { engine: arrow })
    await model.apply(append(...samples(0, 1000)))
    return Object.assign(model, { files: (await model.snapshot()).files })
  }
  const tableFile = (files: SnapshotFiles) =>
    files[Object.keys(files).find(name => name.endsWith('.arrow')) ?? ''] ?? ''
  const opening = (files: SnapshotFiles) => WriterModel.open(kind, { engine: arrow, from: files })

  test('does not open on a file of which a bit has turned over', async () => {
    await using model = await published()
    await using file = await open(tableFile(model.files), 'r+')
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 700)
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ 4]), 0, 1, 700)
    await expect(opening(model.files)).rejects.toMatchObject({ name: 'SnapshotDamaged' })
  })

  test('does not open on a file that was cut, nor on a manifest that was changed', async () => {
    await using model = await published()
    const manifest = model.files['manifest.json'] ?? ''
    const text = await readFile(manifest, 'utf8')
    await writeFile(manifest, text.replace('"rows":1000', '"rows":1001'))
    await expect(opening(model.files)).rejects.toMatchObject({ name: 'SnapshotDamaged' })
    await writeFile(manifest, text)
    await using file = await open(tableFile(model.files), 'r+')
    await file.truncate(1000)
    await expect(opening(model.files)).rejects.toMatchObject({ name: 'SnapshotDamaged' })
  })

  test('does not open on the sound files of another version', async () => {
    await using model = await published()
    const sha256 = hash('sha256', 'another', 'hex')
    const opened = WriterModel.open(kind, { engine: arrow, from: model.files, checksums: { 'manifest.json': sha256 } })
    await expect(opened).rejects.toMatchObject({ name: 'SnapshotDamaged' })
  })

  test('finds that a file is gone to be a fault of the surroundings', async () => {
    await using model = await published()
    await rm(tableFile(model.files))
    await expect(opening(model.files)).rejects.toMatchObject({ name: 'SurroundingsError' })
  })

  test('works in a folder whose name is a pattern', async () => {
    await using model = await published()
    const dir = join(model.path, 'a [b]* folder?')
    await mkdir(dir)
    await using next = await WriterModel.open(kind, { engine: arrow, from: model.files, dir })
    const [outcome] = await next.apply(append(sample('s000500')))
    expect(refusedWith(outcome).code).toBe('KEY_CONFLICT')
    resultOf((await next.apply({ is: 'upsert', table: 'samples', rows: [sample('s000500', 'new')] }))[0])
    expect(await next.rows('samples')).toContainEqual(sample('s000500', 'new'))
  })

  test('stops with the reason of a signal, and is broken then', async () => {
    await using model = await WriterModel.open(kind, { engine: arrow })
    const reason = new Error('enough')
    const work = model.work(append(...samples(0, 10)), { signal: AbortSignal.abort(reason) })
    await expect(model.writer.apply([work], 1)).rejects.toBe(reason)
    await expect(model.apply()).rejects.toThrow('broken')
  })
})

describe('which files are made one', () => {
  const files = (sizes: readonly number[]) => sizes.map((rows, at) => ({ name: `t.${at}.arrow`, rows }))

  test('last ones that are no larger than those behind them together', () => {
    expect(lastRun(files([4096, 512, 40, 10, 10]))).toEqual({ from: 3, to: 5 })
    expect(lastRun(files([4096, 512, 20, 10, 10]))).toEqual({ from: 2, to: 5 })
    expect(lastRun(files([4096, 512]))).toBeNull()
    expect(lastRun(files([10, 262_144, 1]))).toBeNull()
    expect(lastRun(files([200_000, 200_000]))).toBeNull()
    expect(lastRun([])).toBeNull()
  })

  test('any neighbours that are small beside each other', () => {
    expect(anyRun(files([262_144, 3, 4, 262_144, 4]))).toBeNull()
    expect(anyRun(files([262_144, 3, 3, 262_144, 4]))).toEqual({ from: 1, to: 3 })
  })

  test('leaves few of however many', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(sizes, added => {
        let held: number[] = []
        for (const size of added) {
          held.push(size)
          const run = lastRun(files(held))
          if (run) held = [...held.slice(0, run.from), held.slice(run.from).reduce((sum, rows) => sum + rows, 0)]
        }
        const total = added.reduce((sum, rows) => sum + rows, 0)
        expect(held.reduce((sum, rows) => sum + rows, 0)).toBe(total)
        expect(held.length).toBeLessThanOrEqual(2 + Math.log2(total) + (total / (1 << 18)) * 2)
      }),
    )
  })
})
