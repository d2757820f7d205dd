import { type Kind, names } from '../src/kinds/kind.ts'
import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import type { FunctionDefinition } from './shapes.ts'

export function addKinds(builder: Builder, enums: Enums, kinds: readonly Kind[]): void {
  builder.objectType('Kind', {
    description: 'A kind of model: tables and functions, defined in code, and the engines that they are for.',
    fields: t => ({
      id: t.id({ description: 'The name.', resolve: kind => kind.name }),
      name: t.exposeString('name', { description: 'How createModel knows it.' }),
      description: t.exposeString('description', { nullable: true, description: 'What its models hold.' }),
      tables: t.field({
        type: ['TableDefinition'],
        description: 'The tables of each of its models.',
        resolve: kind =>
          [...kind.tables.values()].map(table => ({
            ...table,
            columns: [...table.columns.values()],
            writes: [...table.writes].map(way => names.write(kind, way, table)),
          })),
      }),
      functions: t.field({
        type: ['FunctionDefinition'],
        description: 'What it computes, besides the writing of rows.',
        resolve: functionsOf,
      }),
      engines: t.field({
        type: [enums.engine],
        description: 'What can hold its models.',
        resolve: kind => [...kind.engines],
      }),
    }),
  })
  builder.objectType('TableDefinition', {
    description: 'A table of a kind.',
    fields: t => ({
      name: t.exposeString('name', { description: 'Its name.' }),
      description: t.exposeString('description', { nullable: true, description: 'What a row of it is.' }),
      columns: t.field({ type: ['ColumnDefinition'], description: 'Its columns.', resolve: table => table.columns }),
      key: t.stringList({
        description: 'The columns that tell its rows apart; nulls are equal.',
        resolve: table => [...table.key],
      }),
      writes: t.stringList({
        description: 'The mutations that write it, by name, such as importSales; none where functions alone do.',
        resolve: table => [...table.writes],
      }),
    }),
  })
  builder.objectType('ColumnDefinition', {
    description: 'A column of a table, a file or a result.',
    fields: t => ({
      name: t.exposeString('name', { description: 'Its name.' }),
      type: t.exposeString('type', { description: 'Its logical type, such as VARCHAR or DECIMAL(18,4).' }),
      nullable: t.exposeBoolean('nullable', { description: 'Whether it may be null.' }),
      description: t.exposeString('description', { nullable: true, description: 'What it says.' }),
    }),
  })
  builder.objectType('FunctionDefinition', {
    description: 'A function of a kind.',
    fields: t => ({
      name: t.exposeString('name', {
        description: "As it is called: the mutation's name, or of one that only reads the snapshot's field.",
      }),
      description: t.exposeString('description', { nullable: true, description: 'What it does.' }),
      engines: t.field({
        type: [enums.engine],
        description: 'The engines that it runs on.',
        resolve: ({ engines }) => [...engines],
      }),
      writes: t.exposeBoolean('writes', {
        description: 'Whether it changes the model; else it only reads a snapshot.',
      }),
      runsOn: t.exposeString('runsOn', {
        nullable: true,
        description: 'The kind of model whose new version starts this function by itself, in the models that read it.',
      }),
    }),
  })
  builder.queryField('kinds', t =>
    t.field({
      type: ['Kind'],
      description: 'The kinds of model that this server knows.',
      resolve: () => kinds,
    }),
  )
}

function functionsOf(kind: Kind): FunctionDefinition[] {
  const enginesOf = (engines: object) => kind.engines.filter(engine => Object.hasOwn(engines, engine))
  return [
    ...[...kind.functions.values()].map(({ name, description, engines, runsOn }) => ({
      name: names.function(kind, name),
      description,
      engines: enginesOf(engines),
      writes: true,
      runsOn: runsOn ?? null,
    })),
    ...[...kind.queries.values()].map(({ name, description, engines }) => ({
      name,
      description,
      engines: enginesOf(engines),
      writes: false,
      runsOn: null,
    })),
  ]
}
