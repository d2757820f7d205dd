import { describe, expect, test } from 'vitest'
import salesDefinition from '../../models/sales.ts'
import type { Change, SnapshotRef } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { arrow, engines, type TestEngine } from './engines.ts'
import { type FrameAct, frameBakery } from './writer-frames-kind.ts'
import { refusedWith, resultOf, SUBMITTED_AT, WriterModel } from './writer-model.ts'

const open = () => WriterModel.open(frameBakery, { engine: arrow })
const act = (what: FrameAct): Change => ({ is: 'function', name: 'act', args: { act: what }, reads: [] })
const batches = (name: string, loaves: number | null = null): Change => ({
  is: 'append',
  table: 'batches',
  rows: [{ name, loaves }],
})
const WRITTEN = { name: 'written before', loaves: 1 }

describe('a function over frames', () => {
  test('sees what it has written, and frames from before stay what they were', async () => {
    await using model = await open()
    const [outcome] = await model.apply(act('write'))
    const rows = [
      { name: 'a', loaves: 0 },
      { name: 'c', loaves: 4 },
    ]
    expect(resultOf(outcome).whole).toBe(1)
    // of 'written before' two loaves were made, which were removed
    expect(JSON.parse(String(resultOf(outcome).text))).toEqual(rows)
    expect(await model.rows('batches')).toEqual(rows)
  })

  test('puts rows in the place of all, and need not wait for what it writes', async () => {
    await using model = await open()
    await model.apply(batches('old'), act('replace'))
    expect(await model.rows('batches')).toEqual([{ name: 'all', loaves: null }])
    await model.apply(act('forget'))
    const names = (await model.rows('batches')).map(({ name }) => name)
    expect(names).toEqual(['all', 'not waited for', 'written before'])
  })

  test('selects by a filter', async () => {
    await using model = await open()
    const [, , outcome] = await model.apply(batches('none', 0), batches('two', 2), act('select'))
    expect(resultOf(outcome)).toEqual({ whole: 2, text: 'two,written before' })
  })

  test('tells its steps', async () => {
    await using model = await open()
    const [outcome] = await model.apply(act('steps'))
    expect(resultOf(outcome).whole).toBe(3)
    expect(model.steps).toEqual(['look', 'nothing', 'join'])
  })

  test('takes steps that Polars cannot stream', async () => {
    await using model = await open()
    const [, outcome] = await model.apply(batches('two', 2), act('compare'))
    // of 2 and of the 1 that was written before
    expect(resultOf(outcome).whole).toBe(3)
  })

  test('draws and tells the time by its intent, every time the same', async () => {
    const drawn = async (intentId: string) => {
      await using model = await open()
      const [outcome] = await model.writer.apply([model.work(act('draw'), { intentId })], 1)
      return resultOf(outcome).text
    }
    const first = await drawn('0e984725-c51c-4bf4-9960-e1c80e27aba0')
    expect(first).toMatch(new RegExp(`^0\\.\\d+ 0\\.\\d+ ${SUBMITTED_AT} act$`))
    expect(await drawn('0e984725-c51c-4bf4-9960-e1c80e27aba0')).toBe(first)
  })

  test('says since when a table has only grown', async () => {
    await using model = await open()
    await model.apply(act('finish'))
    expect((await model.snapshot()).tables).toEqual([{ name: 'batches', rows: 1, grownSince: 0 }])
    await model.apply({ is: 'delete', table: 'batches', where: { is: 'and', of: [] } }, act('write'))
    expect((await model.snapshot()).tables).toEqual([{ name: 'batches', rows: 2, grownSince: 2 }])
  })
})

describe('a function over frames that fails leaves nothing, and the line goes on', () => {
  const faults: [FrameAct, string, RegExp][] = [
    ['refuse', 'OUT_OF_FLOUR', /^There is no flour\.$/],
    ['overflow', 'BAD_VALUE', /^conversion from `i64` to `i32` failed in column 'loaves'[^\n]*$/],
    ['swallow', 'BAD_VALUE', /^NOT NULL constraint failed: batches\.name$/],
    ['refuseUndeclared', 'INTERNAL', /log has under/],
    ['bug', 'INTERNAL', /log has under/],
    ['misspell', 'INTERNAL', /log has under/],
    ['round', 'INTERNAL', /log has under/],
    ['strangeColumn', 'INTERNAL', /log has under/],
    ['repeatKey', 'INTERNAL', /log has under/],
    ['repeatOld', 'INTERNAL', /log has under/],
    ['repeatInAll', 'INTERNAL', /log has under/],
    ['answerNull', 'INTERNAL', /log has under/],
    ['answerText', 'INTERNAL', /log has under/],
    ['answerNothing', 'INTERNAL', /log has under/],
    ['hang', 'FUNCTION_TIMEOUT', /^act was not done within its time limit of 1 s$/],
    ['persist', 'FUNCTION_TIMEOUT', /time limit of 1 s/],
  ]

  test.each(faults)('%s: %s', async (what, code, message) => {
    await using model = await open()
    const [before, failed, after] = await model.apply(batches('before'), act(what), batches('after'))
    for (const outcome of [before, after]) expect(outcome?.ok).toBe(true)
    const error = refusedWith(failed)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(model.logged.map(({ id }) => id)).toEqual(code === 'INTERNAL' ? [error.details?.id] : [])
    expect((await model.rows('batches')).map(({ name }) => name)).toEqual(['after', 'before'])
    await model.apply(act('finish'))
    expect(await model.rows('batches')).toContainEqual(WRITTEN)
  })

  test.each(['hang', 'persist'] as const)('an abort stops it (%s), and the batch with its reason', async what => {
    await using model = await open()
    const stop = new AbortController()
    const reason = new Error('the manager stops')
    const applying = model.writer.apply([model.work(act(what), { signal: stop.signal })], 1)
    setImmediate(() => stop.abort(reason))
    await expect(applying).rejects.toBe(reason)
  })
})

describe.each(engines)('what a function on $name reads of other models', reader => {
  const sales = checkKind(salesDefinition)
  const rows = [
    ['a', '0.0001', '2013-01-01'],
    ['b', '99999999999999.9999', '2013-02-01'],
    ['b', '99999999999999.9999', '2013-02-02'],
  ].map(([siteId = '', amount = '', date = ''], index) => ({
    ...{ orderId: String(index), line: 1, productId: 'p', customerId: 'c', salespersonId: null, quantity: '1.0000' },
    ...{ siteId, amount, date },
  }))
  const shopOn = (engine: TestEngine) => WriterModel.open({ ...sales, engines: ['DUCKDB', 'ARROW'] }, { engine })
  const refTo = async (model: WriterModel): Promise<SnapshotRef> => ({
    ...{ alias: 'shop', model: 'shop', kind: 'sales', version: model.writer.version },
    files: model.writer.version === 0 ? {} : (await model.snapshot()).files,
  })
  const sumOf = (ref: SnapshotRef): Change => ({ is: 'function', name: 'sum', args: { shop: 'shop' }, reads: [ref] })

  test.each(engines)('is on $name, whatever it is', async engine => {
    await using shop = await shopOn(engine)
    await using model = await WriterModel.open(frameBakery, { engine: reader, readsKinds: [sales] })
    const [none] = await model.apply(sumOf(await refTo(shop)))
    expect(resultOf(none).sites).toBe('[]')
    await shop.apply({ is: 'append', table: 'sales', rows })
    const [outcome] = await model.apply(sumOf(await refTo(shop)))
    expect(JSON.parse(String(resultOf(outcome).sites))).toEqual([
      { siteId: 'a', amount: '0.0001', date: '2013-01-01' },
      { siteId: 'b', amount: '199999999999999.9998', date: '2013-02-02' },
    ])
  })

  test.each(engines)('fails no intent where it is of another version, or gone: $name', async engine => {
    await using shop = await shopOn(engine)
    await shop.apply({ is: 'append', table: 'sales', rows })
    const ref = await refTo(shop)
    const files = Object.fromEntries(Object.entries(ref.files).map(([name, path]) => [name, `${path}.gone`]))
    for (const wrong of [
      { ...ref, version: 2 },
      { ...ref, files },
    ]) {
      await using model = await WriterModel.open(frameBakery, { engine: reader, readsKinds: [sales] })
      const applying = model.apply(sumOf(wrong))
      await expect(applying).rejects.toMatchObject({ name: 'SurroundingsError', cause: { name: 'SnapshotDamaged' } })
    }
  })

  test('must be of a kind that is known', async () => {
    await using shop = await shopOn(reader)
    await shop.apply({ is: 'append', table: 'sales', rows })
    await using model = await WriterModel.open(frameBakery, { engine: reader })
    const [outcome] = await model.apply(sumOf(await refTo(shop)))
    expect(refusedWith(outcome).code).toBe('UNKNOWN_KIND')
  })
})
