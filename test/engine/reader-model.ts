import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { DuckDBSql, quoted } from '../../src/engine/duckdb/sql.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { arg, defineKind, defineQuery } from '../../src/kinds/index.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'

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
  /** A published version as the writer leaves one: tables, and the state that says their shape. */
  snapshot(kind: Kind, rows: TableRowsByName): Promise<SnapshotFiles>
  /** A database file of the shape and filled by the statements. */
  database(kind: Kind, fill: (sql: DuckDBSql) => Promise<void>): Promise<SnapshotFiles>
}

export async function testFolder(): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'teatree-reader-'))
  const database: TestFolder['database'] = async (kind, fill) => {
    const file = join(path, `${randomUUID()}.duckdb`)
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
  return {
    path,
    database,
    snapshot: (kind, rows) =>
      database(kind, async sql => {
        for (const [name, tableRows] of Object.entries(rows)) await insert(sql, kind, name, tableRows)
      }),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
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
