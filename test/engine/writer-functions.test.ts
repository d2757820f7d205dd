import { describe, expect, test } from 'vitest'
import salesDefinition from '../../models/sales.ts'
import type { Change, SnapshotRef } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineFunction, defineKind } from '../../src/kinds/index.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { coerceArguments } from '../../src/kinds/validate.ts'
import labDefinition from '../support/kinds/lab.ts'
import { type Act, bakery } from './writer-faulty-kind.ts'
import { refusedWith, resultOf, SUBMITTED_AT, WriterModel } from './writer-model.ts'

const lab = checkKind(labDefinition)
const sales = checkKind(salesDefinition)

const call = (kind: Kind, name: string, args: Row = {}, reads: SnapshotRef[] = []): Change => {
  const spec = kind.functions.get(name)
  if (!spec) throw new Error(`no function ${name}`)
  return { is: 'function', name, args: coerceArguments(kind, spec, args), reads }
}
const act = (what: Act): Change => call(bakery, 'act', { act: what })
const WRITTEN = { name: 'written before', loaves: 1 }

describe('a function', () => {
  test('writes, answers with its declared row, and tells its steps', async () => {
    await using model = await WriterModel.open(bakery)
    const [outcome] = await model.apply(act('finish'))
    expect(resultOf(outcome)).toEqual({ whole: 1, text: null })
    expect(model.steps).toEqual(['finish'])
    expect(await model.rows('batches')).toEqual([WRITTEN])
  })

  test('may ask for several statements at once, and need not wait for one', async () => {
    await using model = await WriterModel.open(bakery)
    const [parallel] = await model.apply(act('parallel'))
    expect(resultOf(parallel)).toEqual({ whole: 3, text: 'abc' })
    await using another = await WriterModel.open(bakery)
    await another.apply(act('forget'))
    expect(await another.rows('batches')).toEqual([{ name: 'not waited for', loaves: 1 }, WRITTEN])
  })

  test('may create what is TEMP, every time anew', async () => {
    await using model = await WriterModel.open(bakery)
    for (let time = 1; time <= 2; time++) {
      const [outcome] = await model.apply(act('createTemp'), { is: 'delete', table: 'batches', where: ALL })
      expect(resultOf(outcome).whole).toBe(3)
    }
  })

  test('draws and tells the time by its intent, every time the same', async () => {
    const drawn = async (intentId: string) => {
      await using model = await WriterModel.open(bakery)
      const [outcome] = await model.writer.apply([model.work(act('draw'), { intentId })], 1)
      return resultOf(outcome).text
    }
    const first = await drawn('0e984725-c51c-4bf4-9960-e1c80e27aba0')
    expect(first).toMatch(new RegExp(`^0\\.\\d+ 0\\.\\d+ ${SUBMITTED_AT} act$`))
    expect(await drawn('0e984725-c51c-4bf4-9960-e1c80e27aba0')).toBe(first)
    expect(await drawn('1e984725-c51c-4bf4-9960-e1c80e27aba0')).not.toBe(first)
  })

  test('of SQL is bound its arguments, and its last SELECT is the result', async () => {
    await using model = await WriterModel.open(lab)
    await model.apply({ is: 'append', table: 'readings', rows: [reading('a', '1.000000'), reading('b', '3.000000')] })
    const [flagged] = await model.apply(call(lab, 'flagReadings', { below: '2', note: "low; it's $note" }))
    expect(resultOf(flagged)).toEqual({ flagged: '1', invalid: '1', lowest: '1.000000' })
    const [none] = await model.apply(call(lab, 'flagReadings', { below: '9', assays: ['Cl'] } as unknown as Row))
    expect(resultOf(none)).toMatchObject({ flagged: '0', invalid: '1' })
    expect((await model.rows('readings')).map(({ note }) => note)).toEqual(["low; it's $note", null])
  })
})

describe('a function that fails leaves nothing, and the line goes on', () => {
  const faults: [Act, string, RegExp][] = [
    ['refuse', 'OUT_OF_FLOUR', /^There is no flour\.$/],
    ['overflow', 'BAD_VALUE', /^Overflow in addition of INT32 \(2000000000 \+ 2000000000\)!$/],
    ['refuseUndeclared', 'INTERNAL', /log has under/],
    ['bug', 'INTERNAL', /log has under/],
    ['misspell', 'INTERNAL', /log has under/],
    ['swallow', 'BAD_VALUE', /^Could not convert string 'x' to INT32$/],
    ['commit', 'INTERNAL', /log has under/],
    ['escape', 'INTERNAL', /log has under/],
    ['repeatKey', 'INTERNAL', /log has under/],
    ['create', 'INTERNAL', /log has under/],
    ['createBehindTemp', 'INTERNAL', /log has under/],
    ['dropBehindTemp', 'INTERNAL', /log has under/],
    ['createSequence', 'INTERNAL', /log has under/],
    ['createByImport', 'INTERNAL', /log has under/],
    ['createMacro', 'INTERNAL', /log has under/],
    ['explain', 'INTERNAL', /log has under/],
    ['drop', 'INTERNAL', /log has under/],
    ['answerNull', 'INTERNAL', /log has under/],
    ['answerText', 'INTERNAL', /log has under/],
    ['answerNothing', 'INTERNAL', /log has under/],
    ['hang', 'FUNCTION_TIMEOUT', /^act was not done within its time limit of 1 s$/],
    ['compute', 'FUNCTION_TIMEOUT', /time limit of 1 s/],
    ['persist', 'FUNCTION_TIMEOUT', /time limit of 1 s/],
  ]

  /** Before they have written anything, those that run SQL, and one that is stopped. */
  const first = faults.filter(([what]) => /^(swallow|commit|escape|create|drop|explain|compute)/.test(what))
  const functions = [...faults.map(of => ['act', ...of] as const), ...first.map(of => ['actFirst', ...of] as const)]

  test.each(functions)('%s, %s: %s', async (name, what, code, message) => {
    await using model = await WriterModel.open(bakery)
    const batches = (name: string): Change => ({ is: 'append', table: 'batches', rows: [{ name, loaves: null }] })
    const [before, failed, after, finished, created] = await model.apply(
      batches('before'),
      call(bakery, name, { act: what }),
      batches('after'),
      act('finish'),
      // What creates anything itself is not let go on beside what is there and should not be.
      call(bakery, 'actFirst', { act: 'createTemp' }),
    )
    for (const outcome of [before, after, finished, created]) expect(outcome?.ok).toBe(true)
    const error = refusedWith(failed)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(model.logged.map(({ id }) => id)).toEqual(code === 'INTERNAL' ? [error.details?.id] : [])
    if (code === 'INTERNAL') expect(error.message).toContain(String(error.details?.id))
    const names = (await model.rows('batches')).map(({ name }) => name)
    expect(names).toEqual(['after', 'before', WRITTEN.name])
    expect([model.writer.version, model.writer.lastSeq]).toEqual([1, 5n])
  })

  test.each(['RESTING', 'SHAKING'])('a limit on work that waits or computes: %s', async motion => {
    await using model = await WriterModel.open(lab)
    const instrument = { instrumentId: 'i', name: 'i', installedOn: null, serviceHours: null, active: true }
    await model.apply({ is: 'append', table: 'instruments', rows: [instrument] })
    const [outcome] = await model.apply(call(lab, 'incubate', { instrumentId: 'i', motion }))
    expect(refusedWith(outcome).code).toBe('FUNCTION_TIMEOUT')
    expect(await model.rows('instruments')).toEqual([instrument])
  })
})

describe('an abort', () => {
  test.each(['hang', 'compute', 'persist'] as const)(
    'stops a function (%s) and the batch with its reason',
    async what => {
      await using model = await WriterModel.open(bakery)
      const stop = new AbortController()
      const reason = new Error('the manager stops')
      const onStep = () => setImmediate(() => stop.abort(reason))
      const work = model.work(act(what), { signal: stop.signal, onStep })
      await expect(model.writer.apply([work], 1)).rejects.toBe(reason)
      await expect(model.writer.snapshot(model.path)).rejects.toThrow('broken')
    },
  )

  test('that came before stops the batch before it begins', async () => {
    await using model = await WriterModel.open(bakery)
    const signal = AbortSignal.abort(new Error('too late'))
    const change = { is: 'append', table: 'batches', rows: [WRITTEN] } as const
    await expect(model.writer.apply([model.work(change, { signal })], 1)).rejects.toThrow('too late')
  })

  test('is what closing does to work under way', async () => {
    await using model = await WriterModel.open(bakery)
    let closed: Promise<void> | undefined
    const onStep = () => {
      closed = model.writer.close()
    }
    await expect(model.writer.apply([model.work(act('compute'), { onStep })], 1)).rejects.toThrow('closed')
    await closed
  })
})

describe('the models that a function reads', () => {
  const products = ['p1', 'p2'].map(productId => ({ productId, name: productId, category: null, listPrice: '1.0000' }))
  const refTo = async (model: WriterModel, alias: string): Promise<SnapshotRef> => ({
    ...{ alias, model: 'shop', kind: 'sales', version: model.writer.version },
    files: (await model.snapshot()).files,
  })

  test('are attached by their alias, the same one twice too, and only while it runs', async () => {
    await using shop = await WriterModel.open(sales)
    await shop.apply()
    const reads = [await refTo(shop, 'source'), { ...(await refTo(shop, 'source_2')), model: 'another' }]
    await using model = await WriterModel.open(lab, { readsKinds: [sales] })
    const delivered = call(lab, 'recordDeliveries', {}, reads)
    const outcomes = await model.apply(delivered, delivered)
    expect(outcomes.map(resultOf)).toEqual([
      { models: 2, orders: '0' },
      { models: 2, orders: '0' },
    ])
    expect(await model.rows('deliveries')).toMatchObject([
      { salesModel: 'another', salesVersion: 1, arrivedAt: SUBMITTED_AT },
      { salesModel: 'shop', salesVersion: 1 },
    ])
  })

  test('are the versions that were chosen: files of another one fail no intent', async () => {
    await using shop = await WriterModel.open(sales)
    await shop.apply()
    const newer = { ...(await refTo(shop, 'source')), version: 2 }
    await using model = await WriterModel.open(lab, { readsKinds: [sales] })
    const applying = model.apply(call(lab, 'recordDeliveries', {}, [newer]))
    await expect(applying).rejects.toMatchObject({ name: 'SurroundingsError' })
  })

  test('of an older shape read as the kind is now, in SQL files too', async () => {
    const { tables } = salesDefinition
    const { products: table } = tables
    if (!table) throw new Error('sales has no products')
    const { category: _, ...columns } = table.columns
    const older = checkKind({ ...salesDefinition, tables: { products: { ...table, columns } } })
    await using shop = await WriterModel.open(older)
    await shop.apply({ is: 'append', table: 'products', rows: products.map(({ category: _, ...row }) => row) })
    const count = defineFunction({
      description: 'Counts the products.',
      arguments: {},
      result: {
        name: 'Counted',
        description: 'How many.',
        columns: { products: 'INTEGER', categories: 'INTEGER', orders: 'INTEGER' },
      },
      runsOn: 'sales',
      engines: {
        DUCKDB: async ({ sql, reads: [source] }) => {
          const [bySql] = await sql.all(
            'SELECT count(*) AS products, count(category) AS categories FROM source.products',
          )
          const [byName] = await sql.all(`SELECT count(*) AS orders FROM ${source?.table('sales')}`)
          return { products: null, categories: null, ...bySql, orders: byName?.orders ?? null }
        },
      },
    })
    const counting = checkKind(
      defineKind({
        ...{ name: 'counting', description: 'Counts', engines: ['DUCKDB'], functions: { count } },
        tables: { counts: { row: 'Count', description: 'None', columns: { at: 'DATE' }, key: ['at'], writes: [] } },
      }),
    )
    await using model = await WriterModel.open(counting, { readsKinds: [sales] })
    const [outcome] = await model.apply(call(counting, 'count', {}, [await refTo(shop, 'source')]))
    expect(resultOf(outcome)).toEqual({ products: 2, categories: 0, orders: 0 })
  })

  test('on another engine are refused; a file that is gone fails no intent', async () => {
    await using model = await WriterModel.open(lab, { readsKinds: [sales] })
    const ref = { alias: 'source', model: 'shop', kind: 'sales', version: 1 }
    const [outcome] = await model.apply(call(lab, 'recordDeliveries', {}, [{ ...ref, files: { 'sales.arrow': '/x' } }]))
    expect(refusedWith(outcome).code).toBe('ENGINE_NOT_SUPPORTED')
    const gone = call(lab, 'recordDeliveries', {}, [{ ...ref, files: { 'model.duckdb': `${model.path}/gone` } }])
    await expect(model.apply(gone)).rejects.toMatchObject({ name: 'SurroundingsError' })
  })

  test('are what a copy begins from', async () => {
    await using shop = await WriterModel.open(sales)
    await shop.apply({ is: 'append', table: 'products', rows: products })
    await using model = await WriterModel.open(sales)
    await model.apply({ is: 'append', table: 'products', rows: [{ ...products[0], name: 'old' } as Row] })
    const [outcome] = await model.apply({ is: 'copy', from: await refTo(shop, 'source') })
    expect(resultOf(outcome)).toEqual({ inserted: '2', updated: '0', deleted: '1' })
    expect(await model.rows('products')).toEqual(products)
  })
})

function reading(sampleId: string, amount: string): Row {
  return {
    ...{ sampleId, assay: 'pH', revision: 1, replicate: null, instrumentId: null, takenOn: '2013-01-31' },
    ...{ takenAt: SUBMITTED_AT, amount, counts: '1', signal: 0, valid: true, note: null },
  }
}
