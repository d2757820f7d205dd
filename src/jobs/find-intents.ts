import type { Queryable } from '../platform/postgres.ts'
import { columns, type Intent } from './records.ts'

/** Those of these intents that are there, in no order. */
export const findIntents = (db: Queryable, ids: readonly string[]): Promise<Intent[]> =>
  db.query<Intent>(`SELECT ${columns.intent('i')} FROM intent i WHERE i.id = ANY($1)`, [ids])
