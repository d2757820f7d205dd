import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'
import type { Resolvers } from './resolvers.ts'

/** Files: those that were published, and those that clients bring. */
export function addContent(builder: Builder, enums: Enums, { content }: Resolvers): void {
  builder.objectType('Content', {
    description: 'A published file.',
    fields: t => ({
      id: t.exposeID('id', { description: 'Of this file alone.' }),
      version: t.exposeInt('version', { description: 'The version that it is of.' }),
      form: t.expose('form', { type: enums.contentForm, description: 'What it is.' }),
      table: t.exposeString('table', { nullable: true, description: 'The table that it holds, where it holds one.' }),
      uri: t.exposeString('uri', { description: 'Where it is kept.' }),
      url: t.string({
        nullable: true,
        description:
          'Where to fetch it over HTTP; it stops working after a while, ask again then. Null of what is a part of a version alone.',
        resolve: (file, _, context) => content.url(file, context),
      }),
      bytes: t.expose('bytes', { type: 'BigInt', description: 'Its size.' }),
      rows: t.expose('rows', {
        type: 'BigInt',
        nullable: true,
        description: 'How many rows are in it, where that is known.',
      }),
      sha256: t.exposeString('sha256', {
        description: 'In hexadecimal. Of a DUCKDB file: of its block manifest; of every other: of its bytes.',
      }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was published.' }),
    }),
  })

  builder.objectType('Upload', {
    description: 'A file that a client brought with POST /uploads, for imports.',
    fields: t => ({
      id: t.exposeID('id', { description: 'What POST /uploads answered with.' }),
      format: t.expose('format', { type: enums.importFormat, description: 'What it is, told from its content.' }),
      bytes: t.expose('bytes', { type: 'BigInt', description: 'Its size.' }),
      sha256: t.exposeString('sha256', { description: 'Of its bytes, in hexadecimal.' }),
      rows: t.field({
        type: 'BigInt',
        nullable: true,
        description: 'How many rows are in it, where that is known.',
        resolve: async upload => (await upload.description()).rows,
      }),
      columns: t.field({
        type: ['ColumnDefinition'],
        description: 'Its columns, with logical types where they map to some.',
        resolve: async upload => (await upload.description()).columns,
      }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was complete.' }),
    }),
  })
  builder.queryField('upload', t =>
    t.field({
      type: 'Upload',
      nullable: true,
      description: 'What an upload holds, for choosing a mapping of columns.',
      args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
      resolve: (_, { id }, context) => content.upload(id, context),
    }),
  )
}
