import { migrate } from '../jobs/migrate.ts'
import { UsageError } from '../platform/errors.ts'
import { createLog } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'

/** `teatree migrate`: brings the control database to this release. */
export async function migrateDatabase({ databaseUrl }: Settings): Promise<void> {
  if (databaseUrl === undefined)
    throw new UsageError('migrate needs TEATREE_DATABASE_URL; serve migrates its embedded database itself')
  await migrate(databaseUrl, createLog({ name: 'migrate' }))
}
