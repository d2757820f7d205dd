import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { literal, quoted } from '../../src/engine/duckdb/sql.ts'
import type { Change, ImportMode } from '../../src/engine/engine.ts'
import type { Filter } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { arg, defineFunction, defineKind } from '../../src/kinds/index.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'

/** A kind whose one function does whatever it is told to its tables; and as it has become when it got more. */
const heap = (more: Record<string, 'VARCHAR?'>, hasBoxes: boolean) =>
  checkKind(
    defineKind({
      name: 'heap',
      description: 'Things in a heap',
      engines: ['DUCKDB'],
      tables: {
        things: {
          row: 'Thing',
          description: 'Things',
          columns: { thing: 'BIGINT', weight: 'DOUBLE?', label: 'VARCHAR?', ...more },
          key: ['thing'],
          writes: ['append', 'upsert', 'update', 'delete', 'import'],
        },
        ...(hasBoxes && {
          boxes: { row: 'Box', description: 'Boxes', columns: { box: 'BIGINT' }, key: ['box'], writes: ['append'] },
        }),
      },
      functions: {
        shovel: defineFunction({
          description: 'Runs statements',
          arguments: { statement: arg.varchar() },
          result: { name: 'Shovelled', description: 'How many things there are', columns: { things: 'BIGINT' } },
          engines: {
            DUCKDB: async ({ args, sql }) => {
              await sql.run(String(args.statement))
              const [row] = await sql.all('SELECT count(*) AS things FROM things')
              return { things: row?.things ?? '0' }
            },
          },
        }),
      },
    }),
  )

/** From one to the next it has got a column, or a table; said in SQL, too. */
export const HEAPS = [
  { kind: heap({}, false), got: '' },
  { kind: heap({ colour: 'VARCHAR?' }, false), got: 'ALTER TABLE things ADD COLUMN colour VARCHAR' },
  { kind: heap({ colour: 'VARCHAR?' }, true), got: 'CREATE TABLE boxes (box BIGINT)' },
  { kind: heap({ colour: 'VARCHAR?', maker: 'VARCHAR?' }, true), got: 'ALTER TABLE things ADD COLUMN maker VARCHAR' },
]

/** A change, and what it comes to in a plain database of the same tables: nothing where it is refused. */
export interface HeapChange {
  change: Change
  plainly: string
  isRefused: boolean
}

interface Given {
  kind: Kind
  /** Makes each time another. */
  n: number
  /** Behind the largest key there is. */
  next: number
  /** For files to be imported. */
  dir: string
}

const values = (from: string) =>
  `SELECT i, (hash(i) % 1000003)::DOUBLE / 7, CASE WHEN i % 3 = 0 THEN NULL ELSE 'thing ' || hash(i + 1) END FROM ${from}`
const NEXT = '(SELECT coalesce(max(thing), 0) + 1 FROM things)'
/** So many things more, made up by DuckDB. */
export const many = (rows: number): string =>
  `INSERT INTO things BY NAME SELECT i AS thing, weight, label
     FROM (${values(`range(${NEXT}, ${NEXT} + ${rows}) r (i)`)}) t (i, weight, label)`

const rowsFrom = ({ kind, n }: Given, from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, index) => {
    const thing = from + index
    const text = [...(kind.tables.get('things')?.columns.values() ?? [])]
      .filter(({ type, name }) => type === 'VARCHAR' && (thing + n) % 3 > 0 && name.length > n % 6)
      .map(({ name }) => [name, `${name} of ${thing}, ${n}`])
    return { thing: String(thing), weight: thing % 5 === 0 ? null : (thing * n) / 4, ...Object.fromEntries(text) }
  })

const inserted = (rows: readonly Row[]): string => {
  const columns = [...new Set(rows.flatMap(row => Object.keys(row)))]
  const cell = (value: Row[string] | undefined) => (value == null ? 'NULL' : literal(String(value)))
  const lines = rows.map(row => `(${columns.map(name => cell(row[name])).join(', ')})`)
  return `INSERT INTO things (${columns.map(quoted).join(', ')}) VALUES ${lines.join(', ')}`
}

const keys = (rows: readonly Row[]): string => rows.map(({ thing }) => thing).join(', ')
const deleted = (rows: readonly Row[]) => `DELETE FROM things WHERE thing IN (${keys(rows)})`
const done = (change: Change, plainly: string): HeapChange => ({ change, plainly, isRefused: false })
const refused = (change: Change): HeapChange => ({ change, plainly: '', isRefused: true })
const things = { table: 'things' }
const range = (from: number, to: number): Filter => ({
  is: 'and',
  of: [
    { is: 'compare', column: 'thing', op: 'gte', value: String(from) },
    { is: 'compare', column: 'thing', op: 'lt', value: String(to) },
  ],
})

const shovel = (statement: string): Change => ({ is: 'function', name: 'shovel', args: { statement }, reads: [] })
const shovelled =
  (statement: (n: number) => string) =>
  ({ n }: Given): HeapChange =>
    done(shovel(statement(n)), statement(n))

const imported =
  (mode: ImportMode, plainly: (rows: Row[]) => string) =>
  (given: Given): HeapChange => {
    const rows = rowsFrom(given, Math.max(0, given.next - (mode === 'APPEND' ? 0 : 20)), 60)
    const path = join(given.dir, `import ${given.n}.ndjson`)
    writeFileSync(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
    return done({ is: 'import', ...things, mode, source: { is: 'file', path, format: 'NDJSON' } }, plainly(rows))
  }

/** What changes little, what changes much, what puts the same bytes elsewhere, and what is refused. */
export const HEAP_CHANGES: Record<string, (given: Given) => HeapChange> = {
  'a few rows appended': given => {
    const rows = rowsFrom(given, given.next, 1 + (given.n % 20))
    return done({ is: 'append', ...things, rows }, inserted(rows))
  },
  'rows upserted, of which some are there': given => {
    const rows = rowsFrom(given, Math.max(0, given.next - 5), 10)
    return done({ is: 'upsert', ...things, rows }, `${deleted(rows)}; ${inserted(rows)}`)
  },
  'a few rows updated': ({ n, next }) => {
    const values = Array.from({ length: 20 }, (_, i) => String((i * 7919 + n) % (next + 1)))
    const where: Filter = { is: 'in', column: 'thing', values, negated: false }
    const plainly = `UPDATE things SET weight = ${n / 4}, label = NULL WHERE thing IN (${values.join(', ')})`
    return done({ is: 'update', ...things, where, set: { weight: n / 4, label: null } }, plainly)
  },
  'a third of the rows updated': ({ n, next }) => {
    const from = Math.floor((next * 2) / 3)
    const plainly = `UPDATE things SET label = 'all of ${n}' WHERE thing >= ${from} AND thing < ${next}`
    return done({ is: 'update', ...things, where: range(from, next), set: { label: `all of ${n}` } }, plainly)
  },
  'a range deleted': ({ n, next }) => {
    const [from, to] = [(n * 100) % next, ((n * 100) % next) + 2000]
    const plainly = `DELETE FROM things WHERE thing >= ${from} AND thing < ${to}`
    return done({ is: 'delete', ...things, where: range(from, to) }, plainly)
  },
  'a file appended': imported('APPEND', inserted),
  'a file upserted': imported('UPSERT', rows => `${deleted(rows)}; ${inserted(rows)}`),
  'a file in place of all': imported('REPLACE', rows => `DELETE FROM things; ${inserted(rows)}`),
  'a thousand rows more': shovelled(() => many(1000)),
  'more rows than a row group, which bypass the WAL': shovelled(() => many(130_000)),
  'more than a megabyte, with which a new base is due': shovelled(
    n => `INSERT INTO things BY NAME SELECT i AS thing, repeat(hash(i + ${n})::VARCHAR, 70) AS label
      FROM range(${NEXT}, ${NEXT} + 1000) r (i)`,
  ),
  'rows here and there changed': shovelled(
    n => `UPDATE things SET weight = weight + ${n} WHERE hash(thing) % 997 = ${n % 997}`,
  ),
  'a column changed everywhere': shovelled(n => `UPDATE things SET weight = weight + ${n}`),
  'rows here and there gone': shovelled(n => `DELETE FROM things WHERE hash(thing) % 101 = ${n % 101}`),
  'two values that change places': shovelled(
    n => `UPDATE things SET weight = CASE WHEN thing % 2 = 0
      THEN (thing + ${n % 2})::DOUBLE ELSE (thing - ${n % 2})::DOUBLE END`,
  ),
  'all rows in another order': shovelled(
    n => `CREATE OR REPLACE TEMP TABLE pile AS FROM things ORDER BY hash(thing + ${n});
      DELETE FROM things; INSERT INTO things FROM pile`,
  ),
  'all gone': shovelled(() => 'DELETE FROM things'),
  'a key twice, which is refused': given => {
    const [row = {}] = rowsFrom(given, given.next, 1)
    return refused({ is: 'append', ...things, rows: [row, row] })
  },
  'a function that fails when it has written': ({ n }) =>
    refused(shovel(`${many(2000)}; DELETE FROM things WHERE thing % 2 = ${n % 2}; SELECT error('no')`)),
  'a file of which the last row is wrong': given => {
    const path = join(given.dir, `import ${given.n}.ndjson`)
    writeFileSync(
      path,
      `${rowsFrom(given, given.next, 500)
        .map(row => `${JSON.stringify(row)}\n`)
        .join('')}{"thing": "x"}`,
    )
    return refused({ is: 'import', ...things, mode: 'APPEND', source: { is: 'file', path, format: 'NDJSON' } })
  },
}
