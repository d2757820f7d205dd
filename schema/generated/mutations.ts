import type { WayOfWriting } from '../../src/kinds/definition.ts'
import { type Kind, names, type Table } from '../../src/kinds/kind.ts'
import type { ArgumentBuilder, ArgumentRef, Builder, InputRef, ObjectRef } from '../builder.ts'
import type { Enums } from '../enums.ts'
import type { ImportSourceRef } from '../imports.ts'
import { submitArguments } from '../intents.ts'
import type { IntentResolvers } from '../resolvers.ts'
import type { Outcome } from '../shapes.ts'
import type { ArgumentInputs } from './arguments.ts'
import { describe, fieldOf, scalarOf, valueFields } from './columns.ts'
import type { TableTypes } from './table-types.ts'

interface Parts {
  enums: Enums
  source: ImportSourceRef
  inputs: ArgumentInputs
  intents: IntentResolvers
}

/** A mutation for each way of writing that the table allows. */
export function addWrites(builder: Builder, types: TableTypes, { enums, source, intents }: Parts): void {
  const { kind, table, where } = types
  const has = (...ways: WayOfWriting[]) => ways.some(way => table.writes.has(way))
  const row = has('append', 'upsert') ? addRowInput(builder, kind, table) : null
  const patch = has('update') ? addPatch(builder, kind, table) : null
  const whole = 'Whole rows, at most 10000; what is left out is null.'

  const add = (way: WayOfWriting, description: string, args: (arg: ArgumentBuilder) => Record<string, ArgumentRef>) => {
    if (!table.writes.has(way)) return
    const name = names.write(kind, way, table)
    builder.mutationField(name, t =>
      t.field({
        type: 'Intent',
        nullable: true,
        description,
        args: {
          model: t.arg.id({ required: true, description: 'The model.' }),
          ...args(t.arg),
          ...submitArguments(t.arg),
        },
        resolve: (_, { model, idempotencyKey, waitMs, ...rest }, context) =>
          intents.submit(name, rest, { model, idempotencyKey, waitMs }, context),
      }),
    )
  }
  const rows = (arg: ArgumentBuilder) => ({
    rows: arg({ type: [row as InputRef], required: true, description: whole }),
  })
  const which = (arg: ArgumentBuilder) =>
    arg({ type: where, required: true, description: 'Which rows; {} is BAD_VALUE.' })

  add('append', `Adds rows to ${table.name}. KEY_CONFLICT where a key is there already, or twice in the rows.`, rows)
  add(
    'upsert',
    `Adds rows to ${table.name}, and replaces those of the same key; of a key given twice the last wins.`,
    rows,
  )
  add('update', `Sets columns of the rows of ${table.name} that where selects.`, arg => ({
    where: which(arg),
    set: arg({ type: patch as InputRef, required: true, description: 'What to set; {} is BAD_VALUE.' }),
  }))
  add('delete', `Takes away the rows of ${table.name} that where selects.`, arg => ({ where: which(arg) }))
  add('import', `Fills ${table.name} from a file or from a snapshot of another model.`, arg => ({
    source: arg({ type: source, required: true, description: 'From what.' }),
    mode: arg({ type: enums.importMode, defaultValue: 'APPEND', description: 'What becomes of rows that are there.' }),
  }))
}

/** A mutation for each function of the kind, and the type that it answers with. */
export function addFunctions(builder: Builder, kind: Kind, { inputs, intents }: Parts): ObjectRef<Outcome>[] {
  for (const spec of kind.functions.values()) {
    const name = names.function(kind, spec.name)
    const input =
      Object.keys(spec.arguments).length === 0
        ? null
        : builder.inputType(names.functionInput(kind, spec.name), {
            description: `What ${name} takes.`,
            fields: t => inputs.fields(t, spec.arguments),
          })
    builder.mutationField(name, t =>
      t.field({
        type: 'Intent',
        nullable: true,
        description: [
          spec.description,
          ...(spec.runsOn
            ? [`Runs by itself on every new version of a ${spec.runsOn} model that this one reads.`]
            : []),
          ...Object.entries(spec.errors ?? {}).map(([code, when]) => `FAILED with ${code}: ${when}`),
        ].join('\n'),
        args: {
          model: t.arg.id({ required: true, description: 'The model.' }),
          ...(input && { input: t.arg({ type: input, required: true, description: 'What it takes.' }) }),
          ...submitArguments(t.arg),
        },
        resolve: (_, args, context) => {
          const { model, idempotencyKey, waitMs } = args
          const given = (args as { input?: Readonly<Record<string, unknown>> }).input ?? {}
          return intents.submit(name, given, { model, idempotencyKey, waitMs }, context)
        },
      }),
    )
  }
  const results = new Map([...kind.functions.values()].map(spec => [spec.result.name, spec]))
  return [...results.values()].map(({ result, resultColumns }) =>
    builder.objectRef<Outcome>(names.type(kind, result.name)).implement({
      description: result.description,
      fields: t =>
        valueFields(
          t,
          [...resultColumns.values()].map(column => fieldOf(column)),
          ({ values }) => values,
        ),
    }),
  )
}

function addRowInput(builder: Builder, kind: Kind, table: Table): InputRef {
  return builder.inputType(names.rowType(kind, table, 'Input'), {
    description: `A whole row of ${table.name}. ${table.description}`,
    fields: t =>
      Object.fromEntries(
        [...table.columns.values()].map(column => [
          column.name,
          t.field({
            type: scalarOf(column.type),
            required: !column.nullable,
            description: describe(column, table.key),
          }),
        ]),
      ),
  })
}

function addPatch(builder: Builder, kind: Kind, table: Table): InputRef {
  return builder.inputType(names.rowType(kind, table, 'Patch'), {
    description: `Columns of ${table.name} to set. Left out is untouched; key columns cannot be set.`,
    fields: t =>
      Object.fromEntries(
        [...table.columns.values()]
          .filter(({ name }) => !table.key.includes(name))
          .map(column => [column.name, t.field({ type: scalarOf(column.type), description: describe(column) })]),
      ),
  })
}
