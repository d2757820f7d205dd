import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../src/jobs/migrate.ts'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { createLog } from '../../src/platform/log.ts'
import { makePostgresDir, sweepPostgresDirs } from './postgres-dir.ts'
import { runSql } from './run-sql.ts'

/** One real PostgreSQL per run: the one of TEATREE_TEST_DATABASE_URL (a role that may make databases), or our own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stack = new AsyncDisposableStack()
  try {
    const given = process.env.TEATREE_TEST_DATABASE_URL
    const url = given ?? (await startOwn(stack))
    project.provide('postgresUrl', url)
    // Files are copied in a fourth of the time, but behind two checkpoints, which wait for the disk where it is not ours.
    project.provide('copyStrategy', given ? 'wal_log' : 'file_copy')
    project.provide('controlTemplate', await makeTemplate(stack, url))
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
  return () => stack.disposeAsync()
}

async function startOwn(stack: AsyncDisposableStack): Promise<string> {
  await sweepPostgresDirs()
  const dir = stack.use(await makePostgresDir())
  // Nobody has a use for its data after a loss of power, and to wait for the disk at every commit takes half of the run. Databases
  // live for seconds: whatever vacuums hundreds of them, one after the other, has come for nothing.
  const settings = { fsync: 'off', full_page_writes: 'off', autovacuum: 'off', max_connections: '400' }
  return (await startEmbeddedPostgres({ dir: dir.path, log: () => {}, settings })).url
}

async function makeTemplate(stack: AsyncDisposableStack, server: string): Promise<string> {
  const name = `test_template_${randomBytes(8).toString('hex')}`
  await runSql(server, `create database ${name}`)
  stack.defer(() => runSql(server, `drop database ${name}`))
  const url = new URL(server)
  url.pathname = `/${name}`
  await migrate(url.href, createLog({ name: 'test', level: 'silent' }))
  return name
}
