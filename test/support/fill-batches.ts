import type { Queryable } from '../../src/platform/postgres.ts'

/** What waits in the model's line is so large, as far as the ledger knows, that each intent is a batch of its own. */
export async function fillBatches(db: Queryable, model: string): Promise<void> {
  await db.query('UPDATE intent SET bytes = 8 << 20 WHERE model = $1', [model])
}
