import { checkFunctionArguments, checkQueryArguments } from './check-arguments.ts'
import { readFunctions, readQueries } from './check-functions.ts'
import { readTables } from './check-tables.ts'
import type { Arguments } from './definition.ts'
import { readDefinition } from './definition-schema.ts'
import { mutationNames, snapshotFields, typeNames } from './generated.ts'
import type { Kind } from './kind.ts'
import { PLATFORM_MUTATIONS, PLATFORM_TYPES, SNAPSHOT_FIELDS } from './reserved.ts'
import { broken, checkIdentifier, Scope } from './scope.ts'
import { shapeOf } from './shape.ts'
import { isRecord } from './values.ts'

export { type Addition, type ShapeDifference, shapeDifference } from './shape.ts'

/**
 * Reads a definition as `defineKind` gave it. What other kinds must have a say in is left to checkKinds.
 * @throws UsageError with one line that names the kind and the place in it
 */
export function checkKind(value: unknown): Kind {
  const named = isRecord(value) && typeof value.name === 'string' ? value.name : ''
  if (!isRecord(value) || named === '') broken('a kind', 'must be an object with a name: defineKind({ name, … })')
  const at = `kind ${named.slice(0, 48)}`
  const definition = readDefinition(at, value)
  const { name, description, engines } = definition
  checkIdentifier(`${at}, name`, name, /^[a-z][a-z0-9]*$/)
  const prefix = definition.prefix ?? name
  if (prefix !== '') checkIdentifier(`${at}, prefix`, prefix, /^[A-Za-z][A-Za-z0-9]*$/)
  if (new Set(engines).size < engines.length) broken(`${at}, engines`, 'an engine is named twice')
  const tables = readTables(at, definition)
  const kind: Kind = {
    name,
    description,
    prefix: prefix.charAt(0).toUpperCase() + prefix.slice(1),
    engines,
    tables,
    functions: readFunctions(at, definition),
    queries: readQueries(at, definition),
    shape: shapeOf(tables),
    definition,
  }
  for (const spec of kind.functions.values()) checkFunctionArguments(at, kind, spec)
  for (const spec of kind.queries.values()) checkQueryArguments(at, kind, spec)
  checkOwnNames(at, kind)
  checkGeneratedNames([kind])
  return kind
}

/**
 * What kinds must agree on that one server has: their names, the names of what the schema gets from them, and that
 * the kinds they speak of are there.
 * @throws UsageError with one line that names the kind and the place in it
 */
export function checkKinds(kinds: readonly Kind[]): void {
  const scope = new Scope()
  for (const { name } of kinds) scope.claim(`kind ${name}`, name, 'another kind')
  checkGeneratedNames(kinds)
  const known = new Set(kinds.map(({ name }) => name))
  for (const kind of kinds) {
    const checkModels = (place: string, args: Arguments) => {
      for (const [argument, { type }] of Object.entries(args)) {
        if (type.is === 'model' && !known.has(type.of)) {
          broken(`${place}.arguments.${argument}`, `there is no kind ${type.of}`)
        }
      }
    }
    for (const { name, runsOn, arguments: args } of kind.functions.values()) {
      const place = `kind ${kind.name}, functions.${name}`
      if (runsOn !== undefined && !known.has(runsOn)) broken(`${place}.runsOn`, `there is no kind ${runsOn}`)
      checkModels(place, args)
    }
    for (const { name, arguments: args } of kind.queries.values())
      checkModels(`kind ${kind.name}, queries.${name}`, args)
  }
}

/** Tables, functions and queries are told apart by name, and so are the fields of the snapshot. */
function checkOwnNames(at: string, kind: Kind): void {
  const scope = new Scope()
  for (const name of kind.tables.keys()) scope.claim(`${at}, tables.${name}`, name, `table ${name}`)
  for (const name of kind.functions.keys()) scope.claim(`${at}, functions.${name}`, name, `function ${name}`)
  for (const name of kind.queries.keys()) scope.claim(`${at}, queries.${name}`, name, `query ${name}`)
  const fields = new Scope(SNAPSHOT_FIELDS, 'every snapshot')
  for (const { name, from } of snapshotFields(kind)) fields.claim(`${at}, ${from}`, name, from)
}

function checkGeneratedNames(kinds: readonly Kind[]): void {
  const types = new Scope(PLATFORM_TYPES)
  const mutations = new Scope(PLATFORM_MUTATIONS)
  for (const kind of kinds) {
    const at = `kind ${kind.name}`
    for (const { name, from } of typeNames(at, kind)) types.claim(`${at}, ${from}`, name, `kind ${kind.name}, ${from}`)
    for (const { name, from } of mutationNames(kind)) {
      mutations.claim(`${at}, ${from}`, name, `kind ${kind.name}, ${from}`)
    }
  }
}
