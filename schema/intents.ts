import type { ArgumentBuilder, Builder, ObjectRef } from './builder.ts'
import type { Enums } from './enums.ts'
import type { Resolvers } from './resolvers.ts'
import type { Outcome } from './shapes.ts'

/** What every mutation that makes an intent takes besides its own arguments. */
export const submitArguments = (arg: ArgumentBuilder) => ({
  idempotencyKey: arg.string({
    description:
      'The same key with the same arguments gives the same intent again, with others IDEMPOTENCY_CONFLICT; 1 to 200 characters, per model.',
  }),
  waitMs: arg.int({
    description: 'Holds the answer until the intent has ended or the time is over, 0 to 60000 milliseconds.',
  }),
})

/** Intents, and what became of them. `results` are the types that the functions of kinds answer with. */
export function addIntents(
  builder: Builder,
  enums: Enums,
  results: readonly ObjectRef<Outcome>[],
  { intents }: Resolvers,
): void {
  const outcome = builder.unionType('IntentOutcome', {
    description: 'RowsWritten for the table mutations; one type for each function of a kind that declares a result.',
    types: ['RowsWritten', ...results],
    resolveType: ({ type }) => type,
  })
  builder.objectType('RowsWritten', {
    description: 'How many rows a mutation of a table wrote.',
    fields: t => ({
      table: t.string({ description: 'The table.', resolve: ({ values }) => String(values.table) }),
      inserted: t.field({
        type: 'BigInt',
        description: 'Rows added.',
        resolve: ({ values }) => String(values.inserted),
      }),
      updated: t.field({
        type: 'BigInt',
        description: 'Rows written anew.',
        resolve: ({ values }) => String(values.updated),
      }),
      deleted: t.field({
        type: 'BigInt',
        description: 'Rows taken away.',
        resolve: ({ values }) => String(values.deleted),
      }),
    }),
  })

  builder.objectType('Intent', {
    description: 'A request to change a model: it applies whole or not at all, once, in the order of seq.',
    fields: t => ({
      id: t.exposeID('id', { description: 'Of this intent alone.' }),
      model: t.field({
        type: 'Model',
        nullable: true,
        description: 'The model; null once it is deleted.',
        resolve: (intent, _, context) => intents.model(intent, context),
      }),
      seq: t.expose('seq', { type: 'BigInt', description: "The place in the model's line: 1, 2, 3 … without a gap." }),
      function: t.exposeString('function', { description: 'What is to be done: the name of the mutation.' }),
      arguments: t.expose('arguments', { type: 'JSON', description: 'With what, in canonical form.' }),
      status: t.expose('status', { type: enums.intentStatus, description: 'What became of it so far.' }),
      progress: t.exposeFloat('progress', { nullable: true, description: 'From 0 to 1, for functions that tell.' }),
      step: t.exposeString('step', { nullable: true, description: 'The step that it is at, for functions that tell.' }),
      attempts: t.exposeInt('attempts', { description: 'How often it was begun.' }),
      version: t.exposeInt('version', {
        nullable: true,
        description: "The first version that holds this intent's effect; null until PUBLISHED.",
      }),
      snapshot: t.field({
        type: 'Snapshot',
        nullable: true,
        description: 'The oldest kept version that holds its effect; null until PUBLISHED.',
        resolve: (intent, _, context) => intents.snapshot(intent, context),
      }),
      outcome: t.field({
        type: outcome,
        nullable: true,
        description: 'What the function returned, typed; null until PUBLISHED.',
        resolve: (intent, _, context) => intents.outcome(intent, context),
      }),
      result: t.expose('result', { type: 'JSON', nullable: true, description: 'The same as JSON.' }),
      error: t.expose('error', { type: 'IntentError', nullable: true, description: 'Why it FAILED or was PARKED.' }),
      read: t.field({
        type: ['ModelVersion'],
        description: 'The versions of other models that it read.',
        resolve: (intent, _, context) => intents.read(intent, context),
      }),
      submittedBy: t.exposeString('submittedBy', { nullable: true, description: 'Who asked for it.' }),
      submittedAt: t.expose('submittedAt', { type: 'DateTime', description: 'When it was accepted.' }),
      startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it was first begun.' }),
      endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
      traceId: t.string({
        nullable: true,
        description: 'W3C trace id: the one trace from the mutation to the notification.',
        resolve: intent => intents.traceId(intent),
      }),
    }),
  })
  builder.objectType('ModelVersion', {
    description: 'A version of a model, by name.',
    fields: t => ({
      model: t.exposeID('model', { description: 'The model.' }),
      version: t.exposeInt('version', { description: 'Its version.' }),
    }),
  })

  builder.inputType('IntentWhere', {
    description: 'Which intents; all conditions must hold.',
    fields: t => ({
      model: t.id({ description: 'Of this model.' }),
      function: t.string({ description: 'Of this function, by the name of its mutation.' }),
      status: t.field({ type: [enums.intentStatus], description: 'Of one of these.' }),
    }),
  })
  builder.queryField('intent', t =>
    t.field({
      type: 'Intent',
      nullable: true,
      description: 'One intent; with waitMs the answer is held until the intent has ended or the time is over.',
      args: {
        id: t.arg.id({ required: true, description: 'Its id.' }),
        waitMs: t.arg.int({ description: '0 to 60000 milliseconds.' }),
      },
      resolve: (_, args, context) => intents.get(args, context),
    }),
  )
  builder.mutationFields(t => ({
    cancelIntent: t.field({
      type: 'Intent',
      nullable: true,
      description: 'Takes an intent back, only while it is QUEUED; otherwise INTENT_STARTED.',
      args: { id: t.arg.id({ required: true, description: 'The intent.' }) },
      resolve: (_, { id }, context) => intents.cancel(id, context),
    }),
    retryIntent: t.field({
      type: 'Intent',
      nullable: true,
      description: 'A FAILED or PARKED intent again, at the end of the line, as a new intent.',
      args: {
        id: t.arg.id({ required: true, description: 'The intent.' }),
        idempotencyKey: submitArguments(t.arg).idempotencyKey,
      },
      resolve: (_, args, context) => intents.retry(args, context),
    }),
  }))
}
