import type { Builder } from './builder.ts'

export type ImportSourceRef = ReturnType<typeof addImports>

/** What a table can be filled from; gives the input `ImportSource`. */
export function addImports(builder: Builder) {
  const mapping = builder.inputType('ColumnMapping', {
    description: 'Where a column is filled from.',
    fields: t => ({
      column: t.string({ required: true, description: 'The column to fill.' }),
      from: t.string({ required: true, description: "The source's column to fill it from." }),
    }),
  })
  const columns = 'Which column from which; columns of the same name where left out.'
  const upload = builder.inputType('ImportUpload', {
    description: 'An uploaded file.',
    fields: t => ({
      id: t.id({ required: true, description: 'What POST /uploads answered with.' }),
      columns: t.field({ type: [mapping], description: columns }),
    }),
  })
  const snapshot = builder.inputType('ImportSnapshot', {
    description: 'A table of a version of another model.',
    fields: t => ({
      model: t.id({ required: true, description: 'The model, among those that this one reads.' }),
      version: t.int({ description: 'Its version; the newest where left out.' }),
      table: t.string({ required: true, description: 'The table.' }),
      columns: t.field({ type: [mapping], description: columns }),
    }),
  })
  return builder.inputType('ImportSource', {
    isOneOf: true,
    description: 'What is imported. Bulk data never travels in the queue: it is uploaded first, or is there already.',
    fields: t => ({
      upload: t.field({ type: upload, description: 'What POST /uploads answered with.' }),
      snapshot: t.field({ type: snapshot, description: 'A table of a snapshot of a model that this one reads.' }),
    }),
  })
}
