import type { GraphQLSchema } from 'graphql'
import type { Kinds } from '../src/kinds/kind.ts'
import { createBuilder } from './builder.ts'
import { addContent } from './content.ts'
import { addEnums } from './enums.ts'
import { addErrors } from './errors.ts'
import { addFilters } from './filters.ts'
import { addKind } from './generated/kind.ts'
import { addImports } from './imports.ts'
import { addIntents } from './intents.ts'
import { addKinds } from './kinds.ts'
import { addManagers } from './managers.ts'
import { addModels } from './model.ts'
import { addModelMutations } from './model-mutations.ts'
import { addPageInfo } from './pages.ts'
import { addQueryRuns } from './query-runs.ts'
import type { Resolvers } from './resolvers.ts'
import { addScalars } from './scalars.ts'
import { addSnapshots } from './snapshot.ts'
import { addSubscriptions } from './subscriptions.ts'

export type { Resolvers } from './resolvers.ts'

/** The GraphQL schema: what every server has, and what it makes of the kinds that this one knows. */
export function buildSchema(kinds: Kinds, resolvers: Resolvers): GraphQLSchema {
  const builder = createBuilder()
  builder.queryType({ description: 'What can be read.' })
  builder.mutationType({
    description:
      'What can be asked for. A change of rows answers with the intent, which the model applies in its turn.',
  })
  addScalars(builder)
  addPageInfo(builder)
  addErrors(builder)
  const enums = addEnums(builder)
  const filters = addFilters(builder)
  const source = addImports(builder)
  addKinds(builder, enums, [...kinds.values()])
  addModels(builder, enums, resolvers)
  addModelMutations(builder, enums, resolvers)
  addManagers(builder, enums)
  addSnapshots(builder, enums, resolvers)
  addContent(builder, enums, resolvers)
  addQueryRuns(builder, enums, resolvers)
  addSubscriptions(builder, resolvers)
  const results = [...kinds.values()].flatMap(kind => addKind(builder, kind, { enums, filters, source, resolvers }))
  addIntents(builder, enums, results, resolvers)
  // in the order of the kinds and their columns, which says more than the alphabet
  return builder.toSchema({ sortSchema: false })
}
