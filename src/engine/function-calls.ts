import type { IntentContext } from '../kinds/context.ts'
import type { Kind, KindFunction } from '../kinds/kind.ts'
import { parseWhere } from '../kinds/where.ts'
import { ERRORS, TeatreeError } from '../platform/errors.ts'
import { type Span, span } from '../platform/telemetry/index.ts'
import type { Change, Work } from './engine.ts'
import { ALL, type Filter } from './plan.ts'
import { tableOf } from './plan-tables.ts'
import { seededRandom } from './seeded-random.ts'
import { timeLimit } from './time-limit.ts'

/** A call of a kind's function, by an intent. */
export interface FunctionCall {
  kind: Kind
  work: Work
  change: Extract<Change, { is: 'function' }>
  /** Stops it, besides its time limit. */
  signal: AbortSignal
}

export function calledFunction({ kind, change: { name } }: FunctionCall): KindFunction {
  const spec = kind.functions.get(name)
  if (!spec) throw new Error(`kind ${kind.name} has no function ${name}`)
  return spec
}

/** What functions get on every engine. */
export const intentContext = ({ work, change }: FunctionCall, signal: AbortSignal): IntentContext => ({
  args: change.args,
  intentId: work.intentId,
  name: change.name,
  now: work.submittedAt,
  random: seededRandom(work.intentId),
  signal,
})

/** A step of it: a span, a progress mark, and a place where an abort is noticed. */
export async function functionStep<T>(
  { work, change }: FunctionCall,
  signal: AbortSignal,
  name: string,
  fn: (span: Span) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  work.onStep(name, null)
  const attributes = { 'teatree.function': change.name, 'teatree.step': name }
  const result = await span(`step ${name}`, { attributes }, fn)
  signal.throwIfAborted()
  return result
}

/** The filter of a `where` argument; of one that was left out, all. @throws TeatreeError BAD_VALUE */
export const filterOf = (kind: Kind, table: string, filter: unknown): Filter =>
  filter === null || filter === undefined ? ALL : parseWhere(kind, tableOf(kind, table), filter)

/** Clients can only know the codes that the function declares, and the platform's: any other is a fault of the kind. */
export function undeclared({ name, errors }: Pick<KindFunction, 'name' | 'errors'>, error: unknown): Error | null {
  if (!(error instanceof TeatreeError)) return null
  if (Object.hasOwn(ERRORS, error.code) || Object.hasOwn(errors ?? {}, error.code)) return null
  return new Error(`function ${name} refused with ${error.code}, which it does not declare`, { cause: error })
}

/** The function's time. */
export const functionTimeLimit = ({ name, timeoutSeconds }: KindFunction) =>
  timeLimit(timeoutSeconds, () => {
    const message = `${name} was not done within its time limit of ${timeoutSeconds} s`
    return new TeatreeError('FUNCTION_TIMEOUT', message)
  })

/** What a function would have left, where it has left two rows with the same key. */
export const sameKeyTwice = (name: string, table: string): Error =>
  new Error(`function ${name} has left two rows with the same key in ${table}`)
