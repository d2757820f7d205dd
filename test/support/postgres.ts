import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the run's server: a role that may make databases. */
    postgresUrl: string
    /** The name of a control database there, migrated, that is copied and to which nobody is ever connected. */
    controlTemplate: string
    /** How databases are copied there: a strategy of CREATE DATABASE. */
    copyStrategy: 'file_copy' | 'wal_log'
  }
}

/** A database of one's own on the run's server, dropped, with whoever is connected, when it is disposed of. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
}

/** A control database as `migrate` leaves it, in a fraction of the time: its secrets too are those of all of the run. */
export const createControlDatabase = (): Promise<TestDatabase> =>
  createDatabase({ template: inject('controlTemplate') })

/** Makes a database: empty, or a copy of the database called `template`, to which nobody may be connected. */
export async function createDatabase({ template }: { template?: string } = {}): Promise<TestDatabase> {
  const admin = inject('postgresUrl')
  const name = `test_${randomBytes(8).toString('hex')}`
  const copied = template ? ` template ${pg.escapeIdentifier(template)} strategy ${inject('copyStrategy')}` : ''
  await query(admin, `create database ${name}${copied}`)
  const url = new URL(admin)
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await query(admin, `drop database if exists ${name} with (force)`)
    },
  }
}

/** Runs one statement on a connection of its own and returns its rows. */
export async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}
