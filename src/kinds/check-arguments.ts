import { TeatreeError } from '../platform/errors.ts'
import type { Argument, Arguments, ArgumentType } from './definition.ts'
import type { Kind, KindFunction, KindQuery } from './kind.ts'
import { ATTACHED_NAMES, ENUM_VALUES, PAGE_ARGUMENTS } from './reserved.ts'
import { broken, checkIdentifier, Scope } from './scope.ts'
import { isLogicalType } from './types.ts'
import { coerceArgument } from './validate.ts'

/** The arguments of a function, once the kind's tables are known. @throws UsageError */
export function checkFunctionArguments(at: string, kind: Kind, { name, arguments: args, runsOn }: KindFunction): void {
  const place = `${at}, functions.${name}.arguments`
  checkFields(place, kind, args, new Scope(), (here, argument, type) => {
    if (type.is === 'model') checkModel(here, args, argument, type.version)
  })
  checkParameters(place, args)
  if (runsOn === undefined) return
  for (const [argument, { nullable, default: value, type }] of Object.entries(args)) {
    const here = `${place}.${argument}`
    if (!nullable && value === undefined) broken(here, 'a function with runsOn has no argument that must be given')
    if (type.is === 'model' && /^source(_\d+)?$/i.test(argument)) broken(here, 'the models it runs on are called that')
  }
}

function checkModel(at: string, args: Arguments, argument: string, chosenBy: string | undefined): void {
  if (ATTACHED_NAMES.some(taken => taken === argument.toLowerCase())) broken(at, `no model is attached as ${argument}`)
  if (chosenBy === undefined) return
  const version = args[chosenBy] ?? broken(at, `there is no argument ${chosenBy}`)
  if (version.type.is !== 'scalar' || version.type.type !== 'INTEGER' || !version.nullable) {
    broken(at, `the argument ${chosenBy} chooses the version, and must be an INTEGER that may be left out`)
  }
}

/** The arguments of a query function. @throws UsageError */
export function checkQueryArguments(at: string, kind: Kind, { name, arguments: args, engines }: KindQuery): void {
  const place = `${at}, queries.${name}.arguments`
  checkFields(place, kind, args, new Scope(PAGE_ARGUMENTS), (here, argument, type) => {
    if (type.is === 'where') broken(here, 'a query function takes no where')
    if (type.is !== 'model') return
    checkReadVersion(here, args, argument, type.version)
    if (typeof engines.DUCKDB === 'object') broken(here, 'a query that reads other models is written in TypeScript')
  })
  checkParameters(place, args)
}

/** What a snapshot is asked must always be answered alike: also when the model that is read has a newer version. */
function checkReadVersion(at: string, args: Arguments, argument: string, chosenBy: string | undefined): void {
  if (args[argument]?.nullable) broken(at, 'the model that a query reads must be given')
  if (chosenBy === undefined) broken(at, 'name the argument that chooses its version: arg.model(…, { version })')
  const version = args[chosenBy] ?? broken(at, `there is no argument ${chosenBy}`)
  if (version.type.is !== 'scalar' || version.type.type !== 'INTEGER' || version.nullable) {
    broken(at, `the argument ${chosenBy} chooses the version, and must be an INTEGER that must be given`)
  }
}

/** A `.sql` file knows the field `from` of the argument `window` as `$window_from`, which nothing else may be called. */
function checkParameters(at: string, fields: Arguments, scope = new Scope(), prefix = ''): void {
  for (const [name, { type }] of Object.entries(fields)) {
    if (type.is === 'object') checkParameters(`${at}.${name}`, type.fields, scope, `${prefix}${name}_`)
    else scope.claim(`${at}.${name}`, prefix + name, `the SQL parameter $${prefix}${name}`)
  }
}

/** @param outer what is asked of arguments, but not of what lies inside of them, where no model or where may be */
function checkFields(
  at: string,
  kind: Kind,
  fields: Arguments,
  scope: Scope,
  outer: (at: string, name: string, type: ArgumentType) => void,
): void {
  for (const [name, field] of Object.entries(fields)) {
    const here = `${at}.${name}`
    checkIdentifier(here, name)
    scope.claim(here, name, `argument ${name}`)
    outer(here, name, field.type)
    checkType(here, kind, field.type)
    if (field.default !== undefined) checkDefault(here, kind, field)
  }
}

function checkType(at: string, kind: Kind, type: ArgumentType): void {
  if (type.is === 'scalar' && !isLogicalType(type.type)) broken(at, `${JSON.stringify(type.type)} is no logical type`)
  if (type.is === 'where' && !kind.tables.has(type.table)) broken(at, `there is no table ${type.table}`)
  if (type.is === 'model') checkIdentifier(at, type.of, /^[a-z][a-z0-9]*$/)
  if (type.is === 'enum') checkEnum(at, type.name, Object.keys(type.values))
  if (type.is === 'list') {
    if (type.of.default !== undefined) broken(at, 'an item of a list has no default')
    refuseInside(at, '', type.of.type)
    checkType(at, kind, type.of.type)
  }
  if (type.is === 'object') {
    checkIdentifier(`${at}.name`, type.name)
    if (Object.keys(type.fields).length === 0) broken(at, 'an object has at least one field')
    checkFields(at, kind, type.fields, new Scope(), refuseInside)
  }
}

function checkEnum(at: string, name: string, values: readonly string[]): void {
  checkIdentifier(`${at}.name`, name)
  if (values.length === 0) broken(at, 'an enum has at least one value')
  const scope = new Scope(ENUM_VALUES, 'GraphQL')
  for (const value of values) {
    checkIdentifier(at, value)
    scope.claim(at, value, `value ${value}`)
  }
}

/** A model is attached by the name of its argument, which only an argument of its own has; likewise the table of a where. */
function refuseInside(at: string, _: string, type: ArgumentType): void {
  if (type.is === 'model' || type.is === 'where')
    broken(at, `a ${type.is} is an argument of its own, not a part of one`)
}

function checkDefault(at: string, kind: Kind, field: Argument): void {
  if (!['scalar', 'enum', 'list'].includes(field.type.is))
    broken(at, `what is of the sort ${field.type.is} has no default`)
  if (field.default === null) broken(at, 'a default of null is what arg.optional gives')
  try {
    coerceArgument(kind, field, field.default, 'default')
  } catch (error) {
    broken(at, error instanceof TeatreeError ? error.message : 'the default cannot be read')
  }
}
