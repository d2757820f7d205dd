import type { Argument, Arguments, ArgumentType } from '../../src/kinds/definition.ts'
import { type Kind, names } from '../../src/kinds/kind.ts'
import type { ArgumentBuilder, ArgumentRef, Builder, InputFields, InputRef, Types } from '../builder.ts'
import { scalarOf } from './columns.ts'
import type { TableTypes } from './table-types.ts'

type Input = InputRef | PothosSchemaTypes.EnumRef<Types, string> | keyof Types['Scalars']

/** The inputs that the arguments of a kind's functions become. A type that is named twice is made once. */
export class ArgumentInputs {
  readonly #builder: Builder
  readonly #kind: Kind
  readonly #tables: ReadonlyMap<string, TableTypes>
  readonly #named = new Map<string, Input>()

  constructor(builder: Builder, kind: Kind, tables: ReadonlyMap<string, TableTypes>) {
    this.#builder = builder
    this.#kind = kind
    this.#tables = tables
  }

  /** A field for each argument: of an input, or of a field that takes arguments. */
  fields(t: InputFields, args: Arguments) {
    return Object.fromEntries(Object.entries(args).map(([name, argument]) => [name, this.#field(t, argument)]))
  }

  /** The same as arguments of a field. */
  arguments(arg: ArgumentBuilder, args: Arguments) {
    // An argument is made as a field is, but by calling the builder itself.
    const t = { field: arg, listRef: arg.listRef } as unknown as InputFields
    return this.fields(t, args) as unknown as Record<string, ArgumentRef>
  }

  #field(t: InputFields, argument: Argument) {
    const { type, nullable, default: defaultValue } = argument
    const options = {
      description: describe(argument),
      ...(defaultValue === undefined ? {} : { defaultValue: defaultValue as never }),
    }
    const required = !nullable && defaultValue === undefined
    if (type.is !== 'list') return t.field({ ...options, type: this.#type(type), required })
    return t.field({
      ...options,
      type: [this.#item(t, type.of)],
      required: { list: required, items: !type.of.nullable },
    })
  }

  /** What a list holds, which may be lists. */
  #item(t: InputFields, { type }: Argument): Input {
    if (type.is !== 'list') return this.#type(type)
    return t.listRef(this.#item(t, type.of), { required: !type.of.nullable }) as unknown as InputRef
  }

  #type(type: Exclude<ArgumentType, { is: 'list' }>): Input {
    switch (type.is) {
      case 'scalar':
        return scalarOf(type.type)
      case 'model':
        return 'ID'
      case 'where': {
        const table = this.#tables.get(type.table)
        if (!table) throw new Error(`kind ${this.#kind.name} has no table ${type.table}`)
        return table.where
      }
      default:
        return this.#namedType(type)
    }
  }

  #namedType(type: Extract<ArgumentType, { is: 'enum' | 'object' }>): Input {
    const there = this.#named.get(type.name)
    if (there) return there
    const name = names.type(this.#kind, type.name)
    const made: Input =
      type.is === 'enum'
        ? this.#builder.enumType(name, {
            description: type.description,
            values: Object.fromEntries(
              Object.entries(type.values).map(([value, description]) => [value, { description }]),
            ),
          })
        : this.#builder.inputType(name, {
            description: type.description,
            fields: t => this.fields(t, type.fields),
          })
    this.#named.set(type.name, made)
    return made
  }
}

/** The kind's own words, else what the type says. */
function describe({ description, type }: Argument): string {
  if (description !== undefined) return description
  switch (type.is) {
    case 'scalar':
      return `${type.type}.`
    case 'list':
      return describe(type.of)
    case 'where':
      return `Which rows of ${type.table}.`
    case 'model':
      return `A model of kind ${type.of}, among this model's reads.`
    default:
      return type.description
  }
}
