import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import type { Resolvers } from './resolvers.ts'

/** How models are chosen, made, changed and deleted, and their versions pinned. */
export function addModelMutations(builder: Builder, enums: Enums, { models, snapshots }: Resolvers): void {
  builder.inputType('ModelWhere', {
    description: 'Which models; all conditions must hold.',
    fields: t => ({
      kind: t.string({ description: 'Of this kind.' }),
      engine: t.field({ type: enums.engine, description: 'On this engine.' }),
      nameLike: t.string({
        description: 'With a name like this, where % stands for any text and _ for any character; a backslash escapes.',
      }),
    }),
  })
  builder.inputType('CreateModelInput', {
    description: 'A model to be made.',
    fields: t => ({
      id: t.id({
        description: 'Lower-case letters, digits and hyphens, 1 to 63, a letter first. Made up where it is left out.',
      }),
      name: t.string({ description: 'What people call it; the id where left out.' }),
      kind: t.string({ required: true, description: 'The name of its kind.' }),
      engine: t.field({ type: enums.engine, defaultValue: 'DUCKDB', description: 'What is to hold it.' }),
      size: t.field({ type: enums.podSize, description: "Of its manager's pod; SMALL where left out." }),
      reads: t.idList({ description: 'The models whose snapshots it may read.' }),
      from: t.field({
        type: 'SnapshotRef',
        description:
          'Begin as a copy of a version of another model of the same kind, whichever engine that has: a scenario to work on.',
      }),
    }),
  })
  builder.inputType('SnapshotRef', {
    description: 'A version of a model.',
    fields: t => ({
      model: t.id({ required: true, description: 'The model.' }),
      version: t.int({ description: 'Its version; the newest where left out.' }),
    }),
  })
  builder.inputType('UpdateModelInput', {
    description: 'What to change of a model; left out is untouched.',
    fields: t => ({
      name: t.string({ description: 'What people call it.' }),
      size: t.field({ type: enums.podSize, description: "Of its manager's pod." }),
      reads: t.idList({ description: 'The models whose snapshots it may read: all of them.' }),
    }),
  })

  builder.mutationFields(t => ({
    createModel: t.field({
      type: 'Model',
      nullable: true,
      description: 'Makes a model, empty or as a copy of another.',
      args: { input: t.arg({ type: 'CreateModelInput', required: true, description: 'The model.' }) },
      resolve: (_, { input }, context) => models.create(input, context),
    }),
    updateModel: t.field({
      type: 'Model',
      nullable: true,
      description: 'Changes what is said of a model; its rows are changed by intents.',
      args: {
        id: t.arg.id({ required: true, description: 'The model.' }),
        input: t.arg({ type: 'UpdateModelInput', required: true, description: 'What to change.' }),
      },
      resolve: (_, { id, input }, context) => models.update(id, input, context),
    }),
    deleteModel: t.id({
      nullable: true,
      description:
        'Deletes a model, and gives back its id, which stays taken. MODEL_IN_USE while another model reads it. Waiting intents are CANCELLED, queries under way finish, subscriptions complete.',
      args: { id: t.arg.id({ required: true, description: 'The model.' }) },
      resolve: (_, { id }, context) => models.delete(id, context),
    }),
    pinSnapshot: t.field({
      type: 'Snapshot',
      nullable: true,
      description: 'Keeps a version, and its files, until it is released. SNAPSHOT_GONE where it is no longer kept.',
      args: {
        model: t.arg.id({ required: true, description: 'The model.' }),
        version: t.arg.int({ required: true, description: 'Its version.' }),
        label: t.arg.string({ required: true, description: 'What to pin it with; a version may have many labels.' }),
      },
      resolve: (_, args, context) => snapshots.pin(args, context),
    }),
    releaseSnapshot: t.field({
      type: 'Snapshot',
      nullable: true,
      description: 'Takes a label off a version, or all of them; without one it is kept no longer than any other.',
      args: {
        model: t.arg.id({ required: true, description: 'The model.' }),
        version: t.arg.int({ required: true, description: 'Its version.' }),
        label: t.arg.string({ description: 'The label; all where left out.' }),
      },
      resolve: (_, args, context) => snapshots.release(args, context),
    }),
  }))
}
