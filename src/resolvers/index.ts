import type { GraphQLSchema } from 'graphql'
import { buildSchema } from '../../schema/index.ts'
import type { Services } from '../jobs/services.ts'
import { aggregates } from './aggregates.ts'
import { content } from './content.ts'
import { diffs } from './diffs.ts'
import { events } from './events.ts'
import { intents } from './intents.ts'
import { models } from './models.ts'
import { queries } from './queries.ts'
import { queryRuns } from './query-runs.ts'
import { rows } from './rows.ts'
import { snapshots } from './snapshots.ts'
import { sql } from './sql.ts'

export { createContext, type OperationContext, type User } from './context.ts'
export { formatError } from './errors.ts'
export type { Reading } from './reading.ts'

/** The schema with all that its fields do. What they do it with comes with each operation's context. */
export const makeSchema = ({ kinds }: Pick<Services, 'kinds'>): GraphQLSchema =>
  buildSchema(kinds, {
    models,
    snapshots,
    content,
    intents,
    events,
    queryRuns: { ...queryRuns, ...sql },
    tables: { ...rows, ...aggregates, ...diffs, ...queries },
  })
