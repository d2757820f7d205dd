import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { makePostgresDir, sweepPostgresDirs } from './postgres-dir.ts'

/** One real PostgreSQL per run: the one of TEATREE_TEST_DATABASE_URL (a role that may make databases), or our own. */
export default async function setup(project: TestProject): Promise<(() => PromiseLike<void>) | undefined> {
  const given = process.env.TEATREE_TEST_DATABASE_URL
  if (given) {
    project.provide('postgresUrl', given)
    return undefined
  }
  await sweepPostgresDirs()
  const dir = await makePostgresDir()
  try {
    const { url } = await startEmbeddedPostgres({ dir: dir.path, log: () => {} })
    project.provide('postgresUrl', url)
  } catch (error) {
    await dir[Symbol.asyncDispose]()
    throw error
  }
  return () => dir[Symbol.asyncDispose]()
}
