import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, test } from 'vitest'
import { faultOf, refusalOf } from '../../src/engine/duckdb/errors.ts'
import { DuckDBSql } from '../../src/engine/duckdb/sql.ts'
import { SurroundingsError } from '../../src/engine/surroundings-error.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { arrow, engines } from './engines.ts'
import { bakery, patientBakery } from './writer-faulty-kind.ts'
import { resultOf, WriterModel } from './writer-model.ts'

/** What DuckDB says to the last of the statements. */
async function errorOf(text: string): Promise<Error> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '32MiB', temp_directory: '' })
  const connection = await instance.connect()
  try {
    await new DuckDBSql(connection).run(text)
  } catch (error) {
    return error as Error
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
  throw new Error('it did not fail')
}

describe('the fault of an error that DuckDB gives', () => {
  test.each([
    [`SELECT 'x'::INTEGER`, 'intent', `Could not convert string 'x' to INT32`],
    [`SELECT '31.02.2013'::DATE`, 'intent', /^invalid date field format: "31\.02\.2013"/],
    ['SELECT 99999::DECIMAL(4,2)', 'intent', 'Could not cast value 99999 to DECIMAL(4,2)'],
    ['SELECT 9223372036854775807::BIGINT + 1', 'intent', /^Overflow in addition of INT64/],
    ['SELECT sqrt(-1)', 'intent', 'cannot take square root of a negative number'],
    [`SELECT error('no flour')`, 'intent', 'no flour'],
    ['CREATE TABLE t (a INTEGER NOT NULL); INSERT INTO t VALUES (NULL)', 'intent', 'NOT NULL constraint failed: t.a'],
    ['SELECT flower', 'kind', /log has under/],
    ['SELECT * FROM flour', 'kind', /log has under/],
    ['SELECT FROM WHERE', 'kind', /log has under/],
    ['SELECT flour(1)', 'kind', /log has under/],
    [`SELECT * FROM read_parquet('/nowhere/to/be.found')`, 'surroundings', null],
    ['CREATE TABLE t AS SELECT md5(i::VARCHAR) FROM range(10000000) r (i)', 'surroundings', null],
    ['BEGIN; BEGIN', 'surroundings', null],
  ] as const)('%s', async (text, fault, told) => {
    const error = await errorOf(text)
    expect(faultOf(error)).toBe(fault)
    if (told === null) return
    const internal: string[] = []
    const refusal = refusalOf(error, id => internal.push(id))
    expect(refusal.message).toMatch(told)
    expect(refusal.message).not.toContain('\n')
    expect(refusal.code).toBe(fault === 'intent' ? 'BAD_VALUE' : 'INTERNAL')
    expect(internal).toEqual(fault === 'intent' ? [] : [refusal.details?.id])
  })

  test('is not hidden by an earlier one of the same transaction', async () => {
    expect(faultOf(await errorOf(`CREATE TABLE t (a INTEGER); BEGIN; SELECT 'x'::INTEGER`))).toBe('intent')
  })
})

test('the fault of other errors', () => {
  const system = (code: string) => Object.assign(new Error(`${code}: it failed`), { code })
  expect(faultOf(new TeatreeError('NO_BASIS', 'none'))).toBe('intent')
  expect(faultOf(new TypeError('undefined is no function'))).toBe('kind')
  expect(faultOf('a text')).toBe('kind')
  expect(faultOf(system('ENOENT'))).toBe('kind')
  for (const code of ['ENOSPC', 'EIO', 'EMFILE']) expect(faultOf(system(code))).toBe('surroundings')
  expect(faultOf(new SurroundingsError('it broke'))).toBe('surroundings')
  expect(new SurroundingsError('it broke', system('EIO')).code).toBe('EIO')
})

/** A disk of a few megabytes, where one may be had. */
async function smallDisk(): Promise<({ path: string } & AsyncDisposable) | null> {
  const path = await mkdtemp(join(tmpdir(), 'teatree-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    await rm(path, { recursive: true })
    return null
  }
  const release = async () => {
    execFileSync('umount', [path])
    await rm(path, { recursive: true })
  }
  return { path, [Symbol.asyncDispose]: release }
}

describe('a full disk fails no intent', () => {
  const rows = (batch: number) =>
    Array.from({ length: 10_000 }, (_, row) => ({ name: `${batch}-${row}-${'x'.repeat(1000)}`, loaves: row }))
  const full = { name: 'SurroundingsError', code: 'ENOSPC' }

  test('in the midst of a function, whatever the function says of it', async context => {
    await using disk = await smallDisk()
    if (!disk) return context.skip()
    for (const act of ['spill', 'disguise']) {
      const dir = join(disk.path, act)
      await mkdir(dir)
      await using model = await WriterModel.open(patientBakery, { dir, memoryBytes: 64 * 2 ** 20 })
      await expect(model.apply({ is: 'function', name: 'act', args: { act }, reads: [] })).rejects.toMatchObject(full)
      expect(model.logged).toEqual([])
      await model.writer.close()
      await rm(dir, { recursive: true })
    }
  })

  test.for(engines)('at the commit, $name', async (engine, context) => {
    await using disk = await smallDisk()
    if (!disk) return context.skip()
    await using model = await WriterModel.open(bakery, { engine, dir: disk.path })
    const append = (batch: number) => ({ is: 'append', table: 'batches', rows: rows(batch) }) as const
    const untilFull = async () => {
      for (let batch = 1; batch <= 10; batch++) resultOf((await model.apply(append(batch)))[0])
    }
    await expect(untilFull()).rejects.toMatchObject(full)
    await expect(model.apply()).rejects.toThrow('broken')
  })

  test.for(engines)('in making a snapshot, $name', async (engine, context) => {
    await using disk = await smallDisk()
    if (!disk) return context.skip()
    await using model = await WriterModel.open(bakery, { engine })
    await model.apply({ is: 'append', table: 'batches', rows: rows(1) })
    await writeFile(join(disk.path, 'fill'), Buffer.alloc(30 * 2 ** 20)).catch(() => {})
    await expect(model.writer.snapshot(join(disk.path, 'snapshot'))).rejects.toMatchObject(full)
  })

  test('in opening a model', async context => {
    await using disk = await smallDisk()
    if (!disk) return context.skip()
    await using model = await WriterModel.open(bakery)
    const { files } = await model.snapshot()
    const dir = join(disk.path, 'model')
    await mkdir(dir)
    await writeFile(join(disk.path, 'fill'), Buffer.alloc(30 * 2 ** 20)).catch(() => {})
    await expect(WriterModel.open(bakery, { dir, from: files })).rejects.toMatchObject(full)
  })
})

test('a snapshot that is no database, or gone, is a fault of the surroundings', async () => {
  await using model = await WriterModel.open(bakery)
  const path = join(model.path, 'broken')
  await writeFile(path, 'not a database, though as long as one has to be'.repeat(1000))
  for (const file of [path, join(model.path, 'gone')]) {
    const opening = WriterModel.open(bakery, { from: { 'model.duckdb': file } })
    await expect(opening).rejects.toMatchObject({ name: 'SurroundingsError' })
  }
})

test('a full disk does not stay with a writer on Arrow: the next one goes on from what was published', async context => {
  await using disk = await smallDisk()
  if (!disk) return context.skip()
  const dir = join(disk.path, 'writer')
  await mkdir(dir)
  await using model = await WriterModel.open(bakery, { engine: arrow, dir })
  const rows = (name: string, count: number) =>
    Array.from({ length: count }, (_, row) => ({ name: `${name}-${row}-${'x'.repeat(1000)}`, loaves: row }))
  resultOf((await model.apply({ is: 'append', table: 'batches', rows: rows('first', 10) }))[0])
  const { files } = await model.snapshot()
  const tooMany = model.apply({ is: 'append', table: 'batches', rows: rows('second', 40_000) })
  await expect(tooMany).rejects.toMatchObject({ name: 'SurroundingsError', code: 'ENOSPC' })
  await model.reopen(files)
  resultOf((await model.apply({ is: 'append', table: 'batches', rows: rows('third', 10) }))[0])
  expect(await model.rows('batches')).toEqual([...rows('first', 10), ...rows('third', 10)])
})
