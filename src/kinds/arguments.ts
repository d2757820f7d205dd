import type { Argument, Arguments, ArgumentType, ArgumentValues } from './definition.ts'
import type { LogicalType } from './types.ts'

interface Options<T> {
  description?: string
  /** Taken where the argument is left out or null. */
  default?: T
}

function argument<T>(type: ArgumentType, options: Options<T> = {}): Argument<T> {
  return { type, nullable: options.default !== undefined, ...options }
}
const scalar =
  <T>(type: LogicalType) =>
  (options?: Options<T>) =>
    argument<T>({ is: 'scalar', type }, options)

/** How a kind says what its functions take. Every maker gives an argument that must be given; `arg.optional` loosens it. */
export const arg = {
  varchar: scalar<string>('VARCHAR'),
  integer: scalar<number>('INTEGER'),
  bigint: scalar<string>('BIGINT'),
  double: scalar<number>('DOUBLE'),
  boolean: scalar<boolean>('BOOLEAN'),
  date: scalar<string>('DATE'),
  timestamp: scalar<string>('TIMESTAMP'),
  decimal: (precision: number, scale: number, options?: Options<string>) =>
    argument<string>({ is: 'scalar', type: `DECIMAL(${precision},${scale})` }, options),
  /** One of a few names; `values` maps each to its description. Same name, same values, throughout a kind. */
  oneOf: <const V extends Readonly<Record<string, string>>>(
    type: { name: string; description: string; values: V },
    options?: Options<keyof V & string>,
  ) => argument<keyof V & string>({ is: 'enum', ...type }, options),
  object: <A extends Arguments>(type: { name: string; description: string; fields: A }, options?: Options<never>) =>
    argument<ArgumentValues<A>>({ is: 'object', ...type }, options),
  list: <T>(of: Argument<T>, options?: Options<readonly T[]>) =>
    argument<readonly T[]>({ is: 'list', of: of as Argument }, options),
  /** A filter on a table of this kind; `{}` is refused as everywhere in mutations. */
  where: (table: string, options?: Options<never>) => argument<unknown>({ is: 'where', table }, options),
  /**
   * The id of a model of kind `of`, among this model's reads; at the version that the argument `version` says, or the
   * newest. For a query function both must be given: what it answers must never change.
   */
  model: (of: string, options?: Options<never> & { version?: string }) => {
    const { version, ...rest } = options ?? {}
    return argument<string>({ is: 'model', of, ...(version === undefined ? {} : { version }) }, rest)
  },
  optional: <T>(of: Argument<T>): Argument<T | null> => ({ ...of, nullable: true }) as Argument<T | null>,
} as const
