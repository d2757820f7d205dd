import type { Builder } from './builder.ts'
import { pageInfo } from './pages.ts'
import type { Resolvers } from './resolvers.ts'

/** What clients are told of without asking again. */
export function addSubscriptions(builder: Builder, { events }: Resolvers): void {
  const completion = builder.unionType('Completion', {
    description: 'What has ended.',
    types: ['Intent', 'QueryRun'],
    resolveType: ended => ('readVersion' in ended ? 'QueryRun' : 'Intent'),
  })
  builder.objectType('CompletionEdge', {
    description: 'One entry of the log.',
    fields: t => ({
      cursor: t.string({ description: 'Its place in the log; opaque.', resolve: ({ cursor }) => cursor() }),
      node: t.field({ type: completion, description: 'What has ended.', resolve: ({ node }) => node }),
    }),
  })
  builder.objectType('CompletionPage', {
    description: "A part of a model's log of what has ended.",
    fields: t => ({
      edges: t.expose('edges', { type: ['CompletionEdge'], description: 'The entries, in order.' }),
      pageInfo: t.field({
        type: 'PageInfo',
        description: 'Whether there is more already.',
        resolve: page => pageInfo(page),
      }),
      cursor: t.exposeString('cursor', { description: 'Where to go on; there also when edges is empty.' }),
      reset: t.exposeBoolean('reset', {
        description: 'True where after was too old and completions were left out: load the state anew.',
      }),
      snapshot: t.field({
        type: 'Snapshot',
        nullable: true,
        description:
          'The newest version as this page was made. Select the page of results that you show, and page on at this version.',
        resolve: (page, _, context) => events.completionSnapshot(page, context),
      }),
    }),
  })

  builder.subscriptionType({
    description: 'What clients are told of without asking again.',
    fields: t => ({
      completions: t.field({
        type: 'CompletionPage',
        description:
          'Every intent and asynchronous query of a model that ends, in order, none left out and none twice, in pages. The first page comes at once, perhaps without edges. Give the cursor of the last page that you have seen, or of a snapshot, as after, and the line goes on from there, also after a lost connection or a restart of the server. Without after it starts at now.',
        args: {
          model: t.arg.id({ required: true, description: 'The model.' }),
          after: t.arg.string({ description: 'Go on behind this cursor.' }),
          pageSize: t.arg.int({
            defaultValue: 50,
            description: 'How many entries a page has at most, from 1 to 1000.',
          }),
        },
        subscribe: (_, args, context) => events.completions(args, context),
        resolve: page => page,
      }),
      intent: t.field({
        type: 'Intent',
        nullable: true,
        description:
          "One intent's life: a value at the start and at every change of status, progress or step; it ends with the intent.",
        args: { id: t.arg.id({ required: true, description: 'The intent.' }) },
        subscribe: (_, { id }, context) => events.intent(id, context),
        resolve: ({ intent }) => intent,
      }),
      modelChanges: t.field({
        type: ['Model'],
        description:
          'The state of models (version, manager, queue, lag): all of them at the start, then those that changed, at most this often.',
        args: {
          ids: t.arg.idList({ description: 'These alone.' }),
          where: t.arg({ type: 'ModelWhere', description: 'Those alone.' }),
          minIntervalMs: t.arg.int({
            defaultValue: 250,
            description: 'At least so long between two values, 0 to 60000 milliseconds.',
          }),
        },
        subscribe: (_, args, context) => events.modelChanges(args, context),
        resolve: ({ models }) => models,
      }),
    }),
  })
}
