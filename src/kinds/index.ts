/** The one entrance for those who write kinds: `import { arg, defineKind } from 'teatree'`. */
export { TeatreeError } from '../platform/errors.ts'
export { arg } from './arguments.ts'
export type { FunctionContext, IntentContext, Parameters, QueryContext, ReadModel, Sql } from './context.ts'
export { defineFunction, defineKind, defineQuery } from './define.ts'
export type { FrameAnswer, KindDefinition, QueryAnswer } from './definition.ts'
export type {
  DataFrame,
  Expr,
  FrameFunctionContext,
  FrameQueryContext,
  FrameTools,
  LazyDataFrame,
  Polars,
  ReadFrames,
} from './frames.ts'
export type { Kind } from './kind.ts'
export { refuse } from './refuse.ts'
export type { Row, Value } from './types.ts'
