import type { Arguments, ArgumentType } from './definition.ts'
import { type Kind, names, type Table } from './kind.ts'
import { broken } from './scope.ts'
import { canonicalJson } from './validate.ts'

/** A name that the schema gets from a kind, and what in the kind it is made from. */
export interface GeneratedName {
  name: string
  from: string
}

/** Suffixes of the types that a table may get; all are taken, whether or not this table's columns call for them. */
const ROW_TYPES = [
  ...['', 'Input', 'Patch', 'Where', 'Column', 'Order', 'Connection', 'Edge'],
  ...['GroupBy', 'Having', 'AggregateOrder', 'Aggregate', 'AggregateConnection', 'AggregateEdge'],
  ...['Group', 'Sums', 'Averages', 'Extremes', 'Counts', 'Diff', 'DiffConnection', 'DiffEdge'],
]

/** The fields of the kind's snapshot, besides those that every snapshot has. */
export function snapshotFields(kind: Kind): GeneratedName[] {
  const ofTable = (table: Table) =>
    [table.name, names.byKey(table), names.aggregate(table), names.diff(table)].map(name => ({
      name,
      from: `table ${table.name}`,
    }))
  return [
    ...[...kind.tables.values()].flatMap(ofTable),
    ...[...kind.queries.keys()].map(name => ({ name, from: `query ${name}` })),
  ]
}

/** The kind's mutations, which share one scope with those of all other kinds. */
export function mutationNames(kind: Kind): GeneratedName[] {
  return [
    ...[...kind.tables.values()].flatMap(table =>
      [...table.writes].map(way => ({ name: names.write(kind, way, table), from: `table ${table.name}` })),
    ),
    ...[...kind.functions.keys()].map(name => ({ name: names.function(kind, name), from: `function ${name}` })),
  ]
}

/**
 * The kind's GraphQL types, which share one scope with those of all other kinds.
 * @throws UsageError where a type is named in two places that do not say the same of it
 */
export function typeNames(at: string, kind: Kind): GeneratedName[] {
  return [
    { name: names.modelType(kind), from: 'the kind itself' },
    { name: names.snapshotType(kind), from: 'the kind itself' },
    ...[...kind.tables.values()].flatMap(table =>
      ROW_TYPES.map(suffix => ({ name: names.rowType(kind, table, suffix), from: `table ${table.name}` })),
    ),
    ...[...kind.functions.values()]
      .filter(spec => Object.keys(spec.arguments).length > 0)
      .map(({ name }) => ({ name: names.functionInput(kind, name), from: `function ${name}` })),
    ...namedTypes(at, kind),
  ]
}

/** The types that the kind itself names. One that is named again must be the same, and then counts once. */
function namedTypes(at: string, kind: Kind): GeneratedName[] {
  const said = new Map<string, { from: string; text: string; names: string[] }>()
  const say = (name: string, from: string, what: unknown, suffixes: readonly string[] = ['']) => {
    const text = canonicalJson(what)
    const before = said.get(name)
    if (before && before.text !== text) broken(at, `the type ${name} of ${from} is not that of ${before.from}`)
    said.set(name, before ?? { from, text, names: suffixes.map(suffix => names.type(kind, name + suffix)) })
  }
  const sayType = (type: ArgumentType, from: string): void => {
    if (type.is === 'list') sayType(type.of.type, from)
    if (type.is === 'enum' || type.is === 'object') say(type.name, from, type)
    if (type.is === 'object') sayFields(type.fields, from)
  }
  const sayFields = (fields: Arguments, from: string): void => {
    for (const field of Object.values(fields)) sayType(field.type, from)
  }
  for (const spec of kind.functions.values()) {
    say(spec.result.name, `function ${spec.name}`, { is: 'result', ...spec.result })
    sayFields(spec.arguments, `function ${spec.name}`)
  }
  for (const { name, row, page, arguments: fields } of kind.queries.values()) {
    say(row.name, `query ${name}`, { is: 'row', ...row, page }, ['', 'Connection', 'Edge'])
    sayFields(fields, `query ${name}`)
  }
  return [...said.values()].flatMap(({ from, names }) => names.map(name => ({ name, from })))
}
