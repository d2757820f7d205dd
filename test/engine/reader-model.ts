import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { DuckDBSql, literal, quoted } from '../../src/engine/duckdb/sql.ts'
import type { Change, SnapshotFiles, Work } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { arg, defineKind, defineQuery } from '../../src/kinds/index.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { duckdb, type TestEngine } from './engines.ts'

/** Takes far longer than it may. */
const grind = defineQuery({
  description: 'Compares every harvest with a great many numbers.',
  arguments: {},
  row: { name: 'Ground', description: 'One number.', columns: { ground: 'BIGINT' } },
  timeoutSeconds: 1,
  engines: {
    DUCKDB: async ({ table }) => ({
      select: `SELECT count(*) AS ground FROM range(1000000000000) AS n (i), ${table('harvests')} WHERE hash(i) % 7 = 1`,
      params: {},
      orderBy: ['ground'],
    }),
  },
})

/** Answers as it is told to, right or wrong. */
const echo = defineQuery({
  description: 'The SELECT that it is given, as its rows.',
  arguments: { select: arg.varchar() },
  row: {
    name: 'Echo',
    description: 'One row.',
    columns: { whole: 'INTEGER', text: 'VARCHAR?', amount: 'DECIMAL(18,2)?', share: 'DOUBLE?', day: 'DATE?' },
  },
  page: { trees: 'BIGINT?' },
  engines: {
    DUCKDB: async ({ args, sql, table }) => {
      // Asked for at once, on one connection.
      const [[counted]] = await Promise.all([
        sql.all(`SELECT count(*) AS trees FROM ${table('harvests')}`),
        sql.all('SELECT count(*) FROM harvests'),
      ])
      return {
        select: args.select,
        params: {},
        orderBy: ['text', 'whole'],
        page: { trees: counted?.trees ?? null },
      }
    },
  },
})

/** Runs what it should not. */
const meddle = defineQuery({
  description: 'The statement that it is given.',
  arguments: { statement: arg.varchar() },
  row: { name: 'Meddled', description: 'Nothing.', columns: { meddled: 'INTEGER' } },
  engines: {
    DUCKDB: async ({ args, sql }) => {
      await sql.all(args.statement)
      return { select: 'SELECT 1 AS meddled', params: {}, orderBy: ['meddled'] }
    },
  },
})

/** Every type, nulls wherever they may be, a key with a null in it, and references of one and of two columns. */
export const orchard: Kind = checkKind(
  defineKind({
    name: 'orchard',
    description: 'Trees and what they bore',
    engines: ['DUCKDB'],
    queries: { grind, echo, meddle },
    tables: {
      growers: {
        row: 'Grower',
        description: 'Who looks after plots',
        columns: { growerId: 'VARCHAR', region: 'VARCHAR?', since: 'DATE?' },
        key: ['growerId'],
        writes: [],
      },
      plots: {
        row: 'Plot',
        description: 'Places; the part is null where the whole field is meant',
        columns: { field: 'INTEGER', part: 'VARCHAR?', growerId: 'VARCHAR?', area: 'DECIMAL(38,10)?' },
        key: ['field', 'part'],
        references: [{ columns: ['growerId'], table: 'growers', as: 'grower' }],
        writes: [],
      },
      harvests: {
        row: 'Harvest',
        description: 'What was borne',
        columns: {
          name: 'VARCHAR',
          batch: 'INTEGER?',
          note: 'VARCHAR?',
          boxes: 'INTEGER?',
          code: 'BIGINT?',
          amount: 'DECIMAL(18,4)?',
          weight: 'DECIMAL(38,10)?',
          sugar: 'DOUBLE?',
          sold: 'BOOLEAN?',
          day: 'DATE?',
          weighedAt: 'TIMESTAMP?',
          field: 'INTEGER?',
          part: 'VARCHAR?',
          growerId: 'VARCHAR?',
        },
        key: ['name', 'batch'],
        references: [
          { columns: ['field', 'part'], table: 'plots', as: 'plot' },
          { columns: ['growerId'], table: 'growers', as: 'grower' },
        ],
        writes: [],
      },
    },
  }),
)

export type TableRowsByName = Readonly<Record<string, readonly Row[]>>

export interface TestFolder extends AsyncDisposable {
  path: string
  /** A published version as the engine's writer leaves one. */
  snapshot(kind: Kind, rows: TableRowsByName): Promise<SnapshotFiles>
  /** The same of many rows, which DuckDB makes: of each table a SELECT of some of its columns. */
  filled(kind: Kind, selects: Readonly<Record<string, string>>): Promise<SnapshotFiles>
  /** A database file of the shape and filled by the statements. */
  database(kind: Kind, fill: (sql: DuckDBSql) => Promise<void>): Promise<SnapshotFiles>
}

export async function testFolder(engine: TestEngine = duckdb): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'teatree-reader-'))
  return {
    path,
    database: (kind, fill) => database(path, kind, fill),
    snapshot: (kind, rows) =>
      engine === duckdb
        ? database(path, kind, async sql => {
            for (const [name, tableRows] of Object.entries(rows)) await insert(sql, kind, name, tableRows)
          })
        : written(engine, path, kind, Object.entries(rows).flatMap(inHalves)),
    filled: async (kind, selects) =>
      engine === duckdb
        ? database(path, kind, async sql => {
            for (const [name, select] of Object.entries(selects))
              await sql.run(`INSERT INTO ${quoted(name)} BY NAME ${select}`)
          })
        : written(engine, path, kind, await imported(path, selects)),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** Tables, and the state that says their shape. */
async function database(folder: string, kind: Kind, fill: (sql: DuckDBSql) => Promise<void>): Promise<SnapshotFiles> {
  const file = join(folder, `${randomUUID()}.duckdb`)
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  const sql = new DuckDBSql(connection)
  try {
    await sql.run(
      'CREATE SCHEMA _teatree; CREATE TABLE _teatree.state (version INTEGER, last_seq BIGINT, shape VARCHAR)',
    )
    await sql.run('INSERT INTO _teatree.state VALUES (1, 1, $shape)', { shape: JSON.stringify(kind.shape) })
    for (const table of kind.tables.values()) {
      const columns = [...table.columns.values()].map(
        ({ name, type, nullable }) => `${quoted(name)} ${type}${nullable ? '' : ' NOT NULL'}`,
      )
      await sql.run(`CREATE TABLE ${quoted(table.name)} (${columns.join(', ')})`)
    }
    await fill(sql)
    await sql.run('CHECKPOINT')
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
  return { 'model.duckdb': file }
}

async function insert(sql: DuckDBSql, kind: Kind, name: string, rows: readonly Row[]): Promise<void> {
  const columns = [...(kind.tables.get(name)?.columns.values() ?? [])]
  if (rows.length === 0) return
  const lists = columns.map(({ type }, index) => `unnest(CAST($c${index} AS ${type}[]))`)
  const params = Object.fromEntries(
    columns.map((column, index) => [`c${index}`, rows.map(row => row[column.name] ?? null)]),
  )
  await sql.run(`INSERT INTO ${quoted(name)} SELECT ${lists.join(', ')}`, params)
}

/** By the writer itself, each change as a batch of its own. */
async function written(
  engine: TestEngine,
  folder: string,
  kind: Kind,
  changes: readonly Change[],
): Promise<SnapshotFiles> {
  const [scratch, version] = [join(folder, randomUUID()), join(folder, randomUUID())]
  await mkdir(scratch)
  const log = { error: () => {} }
  const writer = await engine.openWriter({ kind, kinds: new Map([[kind.name, kind]]), dir: scratch, from: null, log })
  try {
    for (const change of changes) {
      const [outcome] = await writer.apply([workOf(change)], writer.version + 1)
      if (!outcome?.ok) throw new Error('the rows were refused', { cause: outcome?.error })
    }
    const { files } = await writer.snapshot(version)
    return Object.fromEntries(files.map(({ name }) => [name, join(version, name)]))
  } finally {
    await writer.close()
    await rm(scratch, { recursive: true })
  }
}

/** Appends of parts that halve, so that they stay files of their own. */
function inHalves([table, rows]: [string, readonly Row[]]): Change[] {
  const changes: Change[] = []
  for (let at = 0; at < rows.length; ) {
    const next = at + Math.ceil((rows.length - at) * 0.6)
    changes.push({ is: 'append', table, rows: rows.slice(at, next) })
    at = next
  }
  return changes
}

async function imported(folder: string, selects: Readonly<Record<string, string>>): Promise<Change[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const changes: Change[] = []
    for (const [table, select] of Object.entries(selects)) {
      const path = join(folder, `${randomUUID()}.parquet`)
      await new DuckDBSql(connection).run(`COPY (${select}) TO ${literal(path)} (FORMAT parquet)`)
      changes.push({ is: 'import', table, mode: 'APPEND', source: { is: 'file', path, format: 'PARQUET' } })
    }
    return changes
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

const workOf = (change: Change): Work => ({
  intentId: randomUUID(),
  seq: 1n,
  submittedAt: '2024-01-01T00:00:00.000000Z',
  change,
  signal: new AbortController().signal,
  onStep: () => {},
})
