import type { Builder } from './builder.ts'

/** Why an intent, a query run or a model stands where it stands. */
export function addErrors(builder: Builder): void {
  builder.objectType('IntentError', {
    description: 'What went wrong.',
    fields: t => ({
      code: t.exposeString('code', { description: "One of the platform's codes, or of the kind's own." }),
      message: t.exposeString('message', { description: 'What was wrong, and what would be right.' }),
      cells: t.field({
        type: ['CellError'],
        description: 'The first 100 cells at fault.',
        resolve: ({ cells }) => cells,
      }),
      details: t.field({
        type: 'JSON',
        nullable: true,
        description: 'More, as the code has it.',
        resolve: ({ details }) => details,
      }),
    }),
  })
  builder.objectType('CellError', {
    description: 'One cell at fault.',
    fields: t => ({
      row: t.field({
        type: 'BigInt',
        nullable: true,
        description: 'Counted from 1 in the rows or the file.',
        resolve: ({ row }) => row,
      }),
      line: t.field({ type: 'BigInt', nullable: true, description: 'Of the file.', resolve: ({ line }) => line }),
      column: t.field({ type: 'String', nullable: true, description: 'Its column.', resolve: ({ column }) => column }),
      message: t.exposeString('message', { description: 'What is wrong with it.' }),
    }),
  })
}
