import { names } from '../src/kinds/kind.ts'
import type { ArgumentBuilder, Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import { forward } from './pages.ts'
import type { Resolvers } from './resolvers.ts'

export const SNAPSHOT_FIELD =
  'The snapshot that at selects; the newest where at is left out. One that is not there yet is waited for, waitMs long, then SNAPSHOT_NOT_YET.'

/** The arguments of a model's field `snapshot`. */
export const snapshotArguments = (arg: ArgumentBuilder) => ({
  at: arg({ type: 'SnapshotAt', description: 'Which version.' }),
  waitMs: arg.int({ defaultValue: 5000, description: 'How long to wait for it, 0 to 60000 milliseconds.' }),
})

/** The interface that the snapshots of all kinds have in common. */
export function addSnapshots(builder: Builder, enums: Enums, { snapshots, content, queryRuns }: Resolvers): void {
  builder.interfaceType('Snapshot', {
    description:
      'One immutable version of a model. Every field below it reads this version, and its answer never changes.',
    resolveType: ({ kind }) => names.snapshotType(kind),
    fields: t => ({
      id: t.id({
        description:
          'MODEL@VERSION: safe as a cache key for ever. Rows carry no id of their own: they belong to their snapshot.',
        resolve: ({ version }) => `${version.model}@${version.version}`,
      }),
      version: t.int({ description: 'Its number; 0 is the empty model.', resolve: ({ version }) => version.version }),
      publishedAt: t.field({
        type: 'DateTime',
        description: 'When it was published.',
        resolve: ({ version }) => version.publishedAt,
      }),
      lastSeq: t.field({
        type: 'BigInt',
        description: 'The seq of the last intent that this version holds.',
        resolve: ({ version }) => version.lastSeq,
      }),
      cursor: t.string({
        description: 'Give it to completions(after:), and nothing is missed between this read and the subscription.',
        resolve: snapshot => snapshots.cursor(snapshot),
      }),
      labels: t.stringList({
        description: 'The labels that it is pinned with.',
        resolve: (snapshot, _, context) => snapshots.labels(snapshot, context),
      }),
      model: t.field({
        type: 'Model',
        description: 'The model that it is a version of.',
        resolve: ({ model }) => model,
      }),
      tables: t.field({
        type: ['TableState'],
        description: 'Its tables.',
        resolve: snapshot => snapshots.tables(snapshot),
      }),
      content: t.field({
        type: ['Content'],
        nullable: true,
        description:
          'The files published for it so far. Who asks for their url finds its one file there, which is made for him where there is none yet.',
        resolve: (snapshot, _, context, info) => content.ofSnapshot(snapshot, context, info),
      }),
      sql: t.field({
        type: 'SqlResult',
        nullable: true,
        description: "One read-only SELECT over this snapshot's tables, in DuckDB's SQL whatever the engine.",
        args: {
          statement: t.arg.string({ required: true, description: 'The SELECT.' }),
          params: t.arg({
            type: ['JSON'],
            required: { list: false, items: false },
            description: 'Bound to $1, $2 …',
          }),
          ...forward(t.arg),
        },
        resolve: (snapshot, args, context, info) => queryRuns.sql(snapshot, args, context, info),
      }),
    }),
  })

  builder.inputType('SnapshotAt', {
    isOneOf: true,
    description: 'Which version of a model.',
    fields: t => ({
      version: t.int({ description: 'Exactly this version; SNAPSHOT_GONE where it is no longer kept.' }),
      intent: t.id({
        description:
          'Read your own write: the oldest kept version that holds this intent; the newest, where it ended without effect.',
      }),
      atLeast: t.int({ description: 'The newest, once it has reached this version.' }),
      asOf: t.field({ type: 'DateTime', description: 'The version that was the newest at this instant.' }),
    }),
  })

  builder.objectType('TableState', {
    description: 'A table as it is in a version.',
    fields: t => ({
      name: t.exposeString('name', { description: 'Its name.' }),
      rows: t.expose('rows', { type: 'BigInt', description: 'How many rows it has.' }),
      columns: t.expose('columns', { type: ['ColumnDefinition'], description: 'Its columns.' }),
      url: t.string({
        description: 'A download that works without a header for a while; ask again then.',
        args: { format: t.arg({ type: enums.fileFormat, required: true, description: 'As what.' }) },
        resolve: (table, { format }, context) => snapshots.tableUrl(table, format, context),
      }),
    }),
  })
}
