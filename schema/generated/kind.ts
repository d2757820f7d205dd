import type { Model } from '../../src/jobs/records.ts'
import { type Kind, names } from '../../src/kinds/kind.ts'
import type { Builder, ObjectRef } from '../builder.ts'
import type { Enums } from '../enums.ts'
import type { Filters } from '../filters.ts'
import type { ImportSourceRef } from '../imports.ts'
import type { Resolvers } from '../resolvers.ts'
import type { Outcome, SnapshotSource } from '../shapes.ts'
import { SNAPSHOT_FIELD, snapshotArguments } from '../snapshot.ts'
import { addAggregate } from './aggregates.ts'
import { ArgumentInputs } from './arguments.ts'
import { addDiff } from './diffs.ts'
import { addFunctions, addWrites } from './mutations.ts'
import { addQueries } from './queries.ts'
import { addOrder, addWhere } from './row-inputs.ts'
import { addRows } from './rows.ts'
import { tableTypes } from './table-types.ts'

interface Parts {
  enums: Enums
  filters: Filters
  source: ImportSourceRef
  resolvers: Resolvers
}

/** All that the schema gets from a kind; gives the types that its functions answer with. */
export function addKind(
  builder: Builder,
  kind: Kind,
  { enums, filters, source, resolvers }: Parts,
): ObjectRef<Outcome>[] {
  const snapshot = addModelAndSnapshot(builder, kind, resolvers)
  const tables = tableTypes(builder, kind)
  const inputs = new ArgumentInputs(builder, kind, tables)
  const mutations = { enums, source, inputs, intents: resolvers.intents }
  for (const types of tables.values()) {
    addWhere(builder, filters, types)
    addRows(builder, snapshot, { ...types, order: addOrder(builder, enums, types) }, resolvers.tables)
    addAggregate(builder, snapshot, types, { enums, filters, resolvers: resolvers.tables })
    addDiff(builder, enums, snapshot, types, resolvers.tables)
    addWrites(builder, types, mutations)
  }
  addQueries(builder, kind, snapshot, { inputs, resolvers: resolvers.tables })
  return addFunctions(builder, kind, mutations)
}

function addModelAndSnapshot(
  builder: Builder,
  kind: Kind,
  { models, snapshots }: Resolvers,
): ObjectRef<SnapshotSource> {
  const snapshot = builder.objectRef<SnapshotSource>(names.snapshotType(kind))
  const model = builder.objectRef<Model>(names.modelType(kind))
  builder.objectType(model, {
    description: `A model of kind ${kind.name}. ${kind.description}`,
    interfaces: ['Model'],
    fields: t => ({
      snapshot: t.field({
        type: snapshot,
        nullable: true,
        description: SNAPSHOT_FIELD,
        args: snapshotArguments(t.arg),
        resolve: (of, args, context) => snapshots.of(of, args, context),
      }),
    }),
  })
  builder.objectType(snapshot, {
    description: `One immutable version of a model of kind ${kind.name}. Every field below it reads this version, and its answer never changes.`,
    interfaces: ['Snapshot'],
    fields: t => ({
      model: t.field({ type: model, description: 'The model that it is a version of.', resolve: of => of.model }),
    }),
  })
  builder.queryField(names.modelField(kind), t =>
    t.field({
      type: model,
      nullable: true,
      description: `One model of kind ${kind.name}; null where there is none of that id and kind.`,
      args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
      resolve: (_, { id }, context) => models.ofKind(kind, id, context),
    }),
  )
  return snapshot
}
