import type { Arguments, FunctionSpec, KindDefinition, QuerySpec } from './definition.ts'

/**
 * A kind of model. The definition is plain data and is checked when a server reads it (check.ts), so that one line
 * can name the kind and the place.
 */
export const defineKind = (definition: KindDefinition): KindDefinition => definition

/** A function of a kind; the compiler takes the types of `args` from `arguments`. */
export const defineFunction = <const A extends Arguments>(spec: FunctionSpec<A>): FunctionSpec =>
  spec as unknown as FunctionSpec

/** A query function of a kind; the compiler takes the types of `args` from `arguments`. */
export const defineQuery = <const A extends Arguments>(spec: QuerySpec<A>): QuerySpec => spec as unknown as QuerySpec
