import { inPieces } from '../src/platform/turns.ts'
import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import { forward } from './pages.ts'
import type { Resolvers } from './resolvers.ts'

/** Reads beside the typed fields: SQL, and long reads that are told of when they have ended. */
export function addQueryRuns(builder: Builder, enums: Enums, { queryRuns }: Resolvers): void {
  builder.objectType('SqlResult', {
    description: 'A page of the result of a statement.',
    fields: t => ({
      columns: t.expose('columns', { type: ['ColumnDefinition'], description: 'Its columns.' }),
      rows: t.field({
        type: t.listRef('JSON', { nullable: true }) && [t.listRef('JSON', { nullable: true })],
        description: 'Its rows, each with a value for each column.',
        resolve: ({ rows }) => inPieces(rows.map(row => [...row])),
      }),
      pageInfo: t.expose('pageInfo', { type: 'PageInfo', description: 'Where the page lies among the others.' }),
    }),
  })
  builder.objectType('QueryRun', {
    description: 'A long read, run beside the others.',
    fields: t => ({
      id: t.exposeID('id', { description: 'Of this run alone.' }),
      model: t.field({
        type: 'Model',
        nullable: true,
        description: 'The model that it reads; null once it is deleted.',
        resolve: (run, _, context) => queryRuns.model(run, context),
      }),
      readVersion: t.exposeInt('readVersion', { description: 'The version that it reads.' }),
      state: t.expose('state', { type: enums.queryState, description: 'What became of it so far.' }),
      error: t.expose('error', { type: 'IntentError', nullable: true, description: 'Why it FAILED.' }),
      columns: t.expose('columns', {
        type: ['ColumnDefinition'],
        nullable: true,
        description: 'The columns of its result; null until DONE.',
      }),
      rowCount: t.expose('rowCount', {
        type: 'BigInt',
        nullable: true,
        description: 'How many rows its result has; null until DONE.',
      }),
      rows: t.field({
        type: 'SqlResult',
        nullable: true,
        description: 'A page of the finished result; null until DONE, RESULT_GONE once it has expired.',
        args: forward(t.arg),
        resolve: (run, args, context, info) => queryRuns.rows(run, args, context, info),
      }),
      content: t.field({
        type: ['Content'],
        nullable: true,
        description: 'The whole result, as files; none before it is DONE and after it has expired.',
        resolve: (run, _, context) => queryRuns.content(run, context),
      }),
      url: t.string({
        nullable: true,
        description: 'A download of the whole result, until it expires; null until DONE.',
        args: { format: t.arg({ type: enums.fileFormat, required: true, description: 'As what.' }) },
        resolve: (run, { format }, context) => queryRuns.url(run, format, context),
      }),
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        nullable: true,
        description: 'Until when the result is kept; null until DONE.',
      }),
      startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
      endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    }),
  })

  const sql = builder.inputType('SqlQuery', {
    description: "A SELECT in DuckDB's SQL.",
    fields: t => ({
      statement: t.string({ required: true, description: 'The SELECT.' }),
      params: t.field({ type: ['JSON'], required: { list: false, items: false }, description: 'Bound to $1, $2 …' }),
    }),
  })
  const fn = builder.inputType('FunctionQuery', {
    description: "A query function of the model's kind.",
    fields: t => ({
      name: t.string({ required: true, description: 'Its name.' }),
      arguments: t.field({ type: 'JSON', description: 'Its arguments by name.' }),
    }),
  })
  const source = builder.inputType('QuerySource', {
    isOneOf: true,
    description: 'What is to be read.',
    fields: t => ({
      sql: t.field({ type: sql, description: 'A SELECT.' }),
      function: t.field({ type: fn, description: 'A query function.' }),
    }),
  })
  const input = builder.inputType('StartQueryInput', {
    description: 'A long read.',
    fields: t => ({
      model: t.id({ required: true, description: 'The model to read.' }),
      at: t.field({ type: 'SnapshotAt', description: 'Which version of it; the newest where left out.' }),
      query: t.field({ type: source, required: true, description: 'What to read of it.' }),
    }),
  })

  builder.queryField('queryRun', t =>
    t.field({
      type: 'QueryRun',
      nullable: true,
      description: 'One query run; with waitMs the answer is held until it has ended or the time is over.',
      args: {
        id: t.arg.id({ required: true, description: 'Its id.' }),
        waitMs: t.arg.int({ description: '0 to 60000 milliseconds.' }),
      },
      resolve: (_, args, context) => queryRuns.get(args, context),
    }),
  )
  builder.mutationFields(t => ({
    startQuery: t.field({
      type: 'QueryRun',
      nullable: true,
      description: 'A long read, run beside the others and told of through completions.',
      args: {
        input: t.arg({ type: input, required: true, description: 'What to read.' }),
        idempotencyKey: t.arg.string({ description: 'The same key gives the same run again.' }),
      },
      resolve: (_, args, context) => queryRuns.start(args, context),
    }),
    cancelQuery: t.field({
      type: 'QueryRun',
      nullable: true,
      description: 'Ends a query run.',
      args: { id: t.arg.id({ required: true, description: 'The run.' }) },
      resolve: (_, { id }, context) => queryRuns.cancel(id, context),
    }),
  }))
}
