import { createHash } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import { blockManifest, cloned } from '../../src/engine/duckdb/snapshot-files.ts'
import { DuckDBSql, literal, quoted } from '../../src/engine/duckdb/sql.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'
import { LONGER } from '../support/longer.ts'
import { HEAP_CHANGES, HEAPS, type HeapChange, many } from './heap-changes.ts'
import { WriterModel } from './writer-model.ts'

const digest = async (sql: DuckDBSql, { kind }: WriterModel, database = '') => {
  const counts = [...kind.tables.values()].map(({ name, columns }) => {
    const hash = `hash(${[...columns.keys()].map(quoted).join(', ')})`
    return `SELECT count(*) AS rows, sum(${hash}::HUGEINT) AS sum, bit_xor(${hash}) AS bits FROM ${database}${name}`
  })
  return sql.all(counts.join(' UNION ALL '))
}

async function memory() {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  const close = () => {
    connection.closeSync()
    instance.closeSync()
  }
  return { sql: new DuckDBSql(connection), [Symbol.dispose]: close }
}

const LARGE = ['all gone', 'more rows than a row group, which bypass the WAL', 'a file in place of all']
const someChanges = fc.array(
  fc.tuple(
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.constantFrom('a few rows appended', 'rows here and there changed', 'a few rows updated'),
      },
      { weight: 14, arbitrary: fc.constantFrom(...Object.keys(HEAP_CHANGES).filter(name => !LARGE.includes(name))) },
      { weight: 2, arbitrary: fc.constant('more than a megabyte, with which a new base is due') },
      { weight: 1, arbitrary: fc.constantFrom(...LARGE) },
    ),
    fc.nat({ max: 1000 }),
  ),
  { minLength: 1, maxLength: 2 },
)
/** Batches, each published, and what comes behind: the writer tidies up, or another goes on, of a kind that has got more. */
const someBatches = fc.array(
  fc.tuple(
    someChanges,
    fc.oneof(
      { weight: 12, arbitrary: fc.constant('nothing' as const) },
      { weight: 4, arbitrary: fc.constant('tidied' as const) },
      { weight: 2, arbitrary: fc.constantFrom('opened again' as const, 'grown' as const) },
    ),
  ),
  { minLength: 44, maxLength: 48, size: 'max' },
)

test('every version is, query for query, the state that was published, however it came to be a file', async () => {
  const seen = { runs: 0, wals: 0, bases: 0, patched: 0, refused: 0, opened: 0, clones: false }
  await fc.assert(
    fc.asyncProperty(someBatches, async batches => {
      if (seen.runs >= RUNS && isEnough(seen)) return
      seen.runs += 1
      let shape = 0
      await using model = await WriterModel.open(HEAPS[shape]?.kind ?? expect.fail())
      using plain = await memory()
      using reader = await memory()
      await plain.sql.run('CREATE TABLE things (thing BIGINT, weight DOUBLE, label VARCHAR)')
      const kept: { dir: string; files: SnapshotFiles }[] = []
      const inodes = new Map<number, number>()
      let base = 0
      const next = async () => Number((await plain.sql.all('SELECT max(thing) + 1 AS next FROM things'))[0]?.next ?? 1)
      await model.call('shovel', { statement: many(5_000) })
      await plain.sql.run(many(5_000))
      /** Read by somebody all the while; at the end it must be as it was. */
      const held = await model.snapshot()
      await reader.sql.run(`ATTACH ${literal(databaseOf(held.files))} AS held (READ_ONLY)`)
      const before = { rows: await reader.sql.all(HELD), bytes: await digestOf(held.files) }
      for (const [version, [operations, then]] of batches.entries()) {
        const changes: HeapChange[] = []
        for (const [name, n] of operations) {
          const of = { kind: model.kind, n: n + version * 1000, next: await next(), dir: model.path }
          const made = HEAP_CHANGES[of.next > MOST ? 'all gone' : name]?.(of) ?? expect.fail(name)
          changes.push(made)
          if (!made.isRefused) await plain.sql.run(made.plainly)
        }
        const outcomes = await model.apply(...changes.map(({ change }) => change))
        const names = operations.map(([name]) => name).join(', ')
        expect(
          outcomes.map(({ ok }) => !ok),
          names,
        ).toEqual(changes.map(({ isRefused }) => isRefused))
        seen.refused += changes.filter(({ isRefused }) => isRefused).length
        const made = await model.snapshot()
        const { ino } = await stat(databaseOf(made.files))
        await reader.sql.run(`ATTACH ${literal(databaseOf(made.files))} AS version (READ_ONLY)`)
        expect(await digest(reader.sql, model, 'version.'), `version ${version}: ${names}`).toEqual(
          await digest(plain.sql, model),
        )
        await reader.sql.run('DETACH version')
        seen[Object.keys(made.files).length === 2 ? 'wals' : 'bases'] += 1
        if (ino !== base)
          expect(manifestDigest((await blockManifest(databaseOf(made.files))).blocks)).toBe(made.made[0]?.sha256)
        base = ino
        // A base that was made some bases ago comes again as another.
        if ((inodes.get(ino) ?? version) < version - 1) seen.patched += 1
        inodes.set(ino, version)
        kept.push(made)
        if (kept.length > 3) await rm(kept.shift()?.dir ?? '', { recursive: true })
        if (then === 'tidied') await model.writer.tidy()
        const grown = then === 'grown' ? HEAPS[shape + 1] : undefined
        if (grown) {
          shape += 1
          await plain.sql.run(grown.got)
        }
        if (grown || then === 'opened again') {
          await model.reopen(made.files, grown?.kind)
          seen.opened += 1
        }
      }
      expect(await reader.sql.all(HELD)).toEqual(before.rows)
      expect(await digestOf(held.files)).toEqual(before.bytes)
      seen.clones = await cloned(databaseOf(held.files), `${model.path}/clone`)
    }),
    { numRuns: 4 * RUNS, endOnFailure: true },
  )
  expect(seen).toSatisfy(isEnough)
}, 240_000)

/** So many, and more where chance has it that something was hardly met. */
const RUNS = 2 * LONGER
const isEnough = (seen: Record<'wals' | 'bases' | 'patched' | 'refused' | 'opened', number> & { clones: boolean }) =>
  seen.wals > 20 && seen.bases > 10 && seen.refused > 5 && seen.opened > 2 && (seen.clones || seen.patched > 2)

/** With more things than this, all go. */
const MOST = 140_000
const HELD = 'SELECT count(*) AS rows, sum(hash(t)::HUGEINT) AS sum FROM held.things t'

const digestOf = (files: SnapshotFiles) =>
  Promise.all(
    Object.entries(files).map(async ([name, path]) => [
      name,
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ]),
  )
