import type { Content, Intent, Model } from '../src/jobs/records.ts'
import { names } from '../src/kinds/kind.ts'
import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import { addConnection, bothWays, forward } from './pages.ts'
import type { Resolvers } from './resolvers.ts'
import type { Page, SnapshotSource } from './shapes.ts'
import { SNAPSHOT_FIELD, snapshotArguments } from './snapshot.ts'

/** The interface that the models of all kinds have in common, and how models are found. */
export function addModels(builder: Builder, enums: Enums, { models, snapshots, content, intents }: Resolvers): void {
  const modelConnection = addConnection<Page<Model>>(builder, 'Model', { name: 'Model', of: 'Models', total: 'Int' })
  const snapshotConnection = addConnection<Page<SnapshotSource>>(builder, 'Snapshot', {
    name: 'Snapshot',
    of: 'Versions of a model',
  })
  const contentConnection = addConnection<Page<Content>>(builder, 'Content', {
    name: 'Content',
    of: 'Published files, those of the newest version first',
  })
  const intentConnection = addConnection<Page<Intent>>(builder, 'Intent', {
    name: 'Intent',
    of: 'Intents, the newest first',
    total: 'Int',
  })

  builder.interfaceType('Model', {
    description: 'One data model: a database of its own with one writer, and a line of published versions.',
    resolveType: (model, context) => names.modelType(models.kind(model, context)),
    fields: t => ({
      id: t.exposeID('id', { description: 'Never given twice, not even after the model was deleted.' }),
      name: t.exposeString('name', { description: 'What people call it.' }),
      kind: t.field({
        type: 'Kind',
        description: 'What it is an instance of.',
        resolve: (model, _, context) => models.kind(model, context),
      }),
      engine: t.expose('engine', { type: enums.engine, description: 'What holds it.' }),
      size: t.expose('size', { type: enums.podSize, description: 'Of the pod that its manager runs on.' }),
      reads: t.field({
        type: ['Model'],
        description: "Other models, whose snapshots this model's functions may read and never write.",
        resolve: (model, _, context) => models.reads(model, context),
      }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
      version: t.exposeInt('version', {
        description: 'The newest published version; 0 is the empty model, and can be read.',
      }),
      snapshot: t.field({
        type: 'Snapshot',
        nullable: true,
        description: SNAPSHOT_FIELD,
        args: snapshotArguments(t.arg),
        resolve: (model, args, context) => snapshots.of(model, args, context),
      }),
      snapshots: t.field({
        type: snapshotConnection,
        nullable: true,
        description: 'The versions that can still be read, the newest first.',
        args: forward(t.arg),
        resolve: (model, args, context) => snapshots.list(model, args, context),
      }),
      contentIndex: t.field({
        type: contentConnection,
        nullable: true,
        description:
          'Everything published for this model: snapshot files, Parquet archives, Arrow files, results of query runs. Who asks for the url of what one version has finds its one file there.',
        args: {
          version: t.arg.int({ description: 'Of this version alone.' }),
          table: t.arg.string({ description: 'Of this table alone.' }),
          form: t.arg({ type: enums.contentForm, description: 'In this form alone.' }),
          ...forward(t.arg),
        },
        resolve: (model, args, context, info) => content.index(model, args, context, info),
      }),
      intents: t.field({
        type: intentConnection,
        nullable: true,
        description: 'What was asked of it, the newest first.',
        args: {
          status: t.arg({ type: [enums.intentStatus], description: 'Those of one of these alone.' }),
          ...forward(t.arg),
        },
        resolve: (model, args, context, info) => intents.ofModel(model, args, context, info),
      }),
      manager: t.field({
        type: 'ManagerStatus',
        description: 'What its manager is at.',
        resolve: (model, _, context) => models.manager(model, context),
      }),
    }),
  })

  builder.queryFields(t => ({
    model: t.field({
      type: 'Model',
      nullable: true,
      description: 'One model, of whichever kind.',
      args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
      resolve: (_, { id }, context) => models.get(id, context),
    }),
    models: t.field({
      type: modelConnection,
      nullable: true,
      description: 'The models, in the order of their making.',
      args: { where: t.arg({ type: 'ModelWhere', description: 'Those alone.' }), ...bothWays(t.arg) },
      resolve: (_, args, context) => models.list(args, context),
    }),
    intents: t.field({
      type: intentConnection,
      nullable: true,
      description: 'The intents of all models, the newest first.',
      args: { where: t.arg({ type: 'IntentWhere', description: 'Those alone.' }), ...forward(t.arg) },
      resolve: (_, { where, ...args }, context, info) => intents.list(where ?? {}, args, context, info),
    }),
  }))
}
