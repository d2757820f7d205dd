import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { applyImport, type ImportOptions } from '../../src/engine/duckdb/imports/index.ts'
import { DuckDBSql, quoted } from '../../src/engine/duckdb/sql.ts'
import type { ImportMode, ImportSource } from '../../src/engine/engine.ts'
import type { ImportFormat } from '../../src/engine/files.ts'
import type { RowCounts } from '../../src/engine/row-counts.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineKind } from '../../src/kinds/index.ts'
import type { Kind, Table } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { TeatreeError } from '../../src/platform/errors.ts'

/** Parcels on their way: a table with every type, and one whose columns are mostly required. */
export const parcels: Kind = checkKind(
  defineKind({
    name: 'parcels',
    description: 'What was sent, and where it was seen.',
    engines: ['DUCKDB'],
    tables: {
      parcels: {
        row: 'Parcel',
        description: 'One parcel.',
        columns: {
          parcelId: 'BIGINT',
          label: 'VARCHAR?',
          pieces: 'INTEGER?',
          tracking: 'BIGINT?',
          price: 'DECIMAL(18,4)?',
          exact: 'DECIMAL(38,10)?',
          weight: 'DOUBLE?',
          fragile: 'BOOLEAN?',
          sentOn: 'DATE?',
          seenAt: 'TIMESTAMP?',
        },
        key: ['parcelId'],
        writes: ['import'],
      },
      depots: {
        row: 'Depot',
        description: 'Where parcels are kept.',
        columns: { code: 'VARCHAR', name: 'VARCHAR', note: 'VARCHAR?' },
        key: ['code'],
        writes: ['import'],
      },
      tags: {
        row: 'Tag',
        description: 'A table of one column.',
        columns: { tag: 'VARCHAR?' },
        key: ['tag'],
        writes: ['import'],
      },
    },
  }),
)

export interface FileImport {
  format: ImportFormat
  content: string | Uint8Array
  columns?: Record<string, string>
  mode?: ImportMode
  onStep?: ImportOptions['onStep']
  signal?: AbortSignal
}

const nothing: ImportOptions['attached'] = () => Promise.reject(new Error('nothing is attached'))

/** A model's database to import into, in a folder of its own, which is gone with it. */
export class ImportModel implements AsyncDisposable {
  readonly sql: DuckDBSql
  readonly dir: string
  readonly kind: Kind
  readonly #close: () => void

  private constructor(kind: Kind, sql: DuckDBSql, dir: string, close: () => void) {
    this.kind = kind
    this.sql = sql
    this.dir = dir
    this.#close = close
  }

  static async open(kind: Kind = parcels): Promise<ImportModel> {
    const dir = await mkdtemp(join(tmpdir(), 'teatree-import-'))
    await mkdir(join(dir, 'scratch'))
    const instance = await DuckDBInstance.create(join(dir, 'model.duckdb'))
    const connection = await instance.connect()
    const sql = new DuckDBSql(connection)
    for (const { name, columns } of kind.tables.values()) {
      const texts = [...columns.values()].map(
        ({ name, type, nullable }) => `${quoted(name)} ${type}${nullable ? '' : ' NOT NULL'}`,
      )
      await sql.run(`CREATE TABLE ${quoted(name)} (${texts.join(', ')})`)
    }
    return new ImportModel(kind, sql, dir, () => {
      connection.closeSync()
      instance.closeSync()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await rm(this.dir, { recursive: true })
  }

  table(name: string): Table {
    const table = this.kind.tables.get(name)
    if (!table) throw new Error(`no table ${name}`)
    return table
  }

  /** Writes the content down and imports it in a transaction of its own. Nothing may be left of it but the table's rows. */
  async file(table: string, { format, content, ...more }: FileImport): Promise<RowCounts> {
    const path = await this.write(content)
    return this.from(table, { is: 'file', path, format, ...(more.columns ? { columns: more.columns } : {}) }, more)
  }

  async write(content: string | Uint8Array): Promise<string> {
    const path = join(this.dir, `upload ${randomUUID()} [*].bin`)
    await writeFile(path, content)
    return path
  }

  async from(
    table: string,
    source: ImportSource,
    { mode = 'APPEND', onStep = () => {}, signal, attached = nothing }: Partial<ImportOptions> = {},
  ): Promise<RowCounts> {
    await this.sql.run('BEGIN')
    try {
      const counts = await applyImport({
        sql: this.sql,
        kind: this.kind,
        table: this.table(table),
        mode,
        source,
        attached,
        scratch: join(this.dir, 'scratch'),
        signal: signal ?? new AbortController().signal,
        onStep,
      })
      await this.#checkLeftovers()
      await this.sql.run('COMMIT')
      return counts
    } catch (error) {
      await this.sql.run('ROLLBACK')
      await this.#checkLeftovers()
      throw error
    }
  }

  /** An import takes away its temporary tables and files. */
  async #checkLeftovers(): Promise<void> {
    const tables = await this.sql.all(`SELECT table_name FROM duckdb_tables() WHERE temporary`)
    const left = [...tables.map(({ table_name }) => String(table_name)), ...(await readdir(join(this.dir, 'scratch')))]
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
  }

  /** The table's rows in canonical form, by key. */
  rows(table: string): Promise<Row[]> {
    return this.sql.all(`FROM ${quoted(table)} ORDER BY ALL`)
  }
}

/** The error with which an import is refused; whatever else it throws goes through. */
export async function refused(act: Promise<unknown>): Promise<TeatreeError> {
  try {
    await act
  } catch (error) {
    if (!(error instanceof TeatreeError)) throw error
    const told = JSON.stringify([error.message, error.cells, error.details])
    if (/teatree-import-|SELECT|read_csv|read_parquet/.test(told)) throw new Error(`it tells too much: ${told}`)
    return error
  }
  throw new Error('it was not refused')
}
