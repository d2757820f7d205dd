import type { FrameFunctionContext, Rows } from '../../kinds/frames.ts'
import type { KindFunction } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { unlessAborted } from '../../platform/unless-aborted.ts'
import { declaredRow } from '../declared-row.ts'
import {
  calledFunction,
  type FunctionCall,
  filterOf,
  functionStep,
  functionTimeLimit,
  intentContext,
  undeclared,
} from '../function-calls.ts'
import { faultOf } from './errors.ts'
import { FunctionFrames } from './function-frames.ts'
import { ReadSources, type SourcesContext } from './read-frames.ts'
import type { TableFiles, WriteContext } from './row-writes.ts'
import { StreamedFrames } from './streamed-frames.ts'

/** What a function runs with. */
export interface FunctionRun extends FunctionCall {
  context: WriteContext & SourcesContext & { memoryBytes: number }
}

/**
 * Runs a function of the kind over the tables of the context, and answers with its result and the tables after it. Whatever
 * it throws, those before are still what they were; by then nothing of it writes.
 * @throws TeatreeError FUNCTION_TIMEOUT, or what the function refuses with
 * @throws the signal's reason; else an error whose fault errors.ts tells
 */
export async function runFunction(run: FunctionRun): Promise<{ tables: TableFiles; result: Row }> {
  const { change, context, signal } = run
  const spec = calledFunction(run)
  using limit = functionTimeLimit(spec)
  const stopped = AbortSignal.any([signal, limit.signal])
  stopped.throwIfAborted()
  await using sources = new ReadSources({ ...context, signal: stopped }, change.reads)
  await using streamed = new StreamedFrames(context.dir)
  const frames = new FunctionFrames(spec.name, { ...context, signal: stopped }, streamed)
  try {
    const answer = await unlessAborted(answerOf(spec, contextOf(run, frames, sources, stopped), frames), stopped)
    return { tables: frames.tables, result: declaredRow(`function ${spec.name}`, spec.resultColumns, answer) }
  } catch (error) {
    throw stopped.aborted ? stopped.reason : await sources.causeOf(error)
  } finally {
    await frames.end()
  }
}

async function answerOf(spec: KindFunction, context: FrameFunctionContext, frames: FunctionFrames): Promise<unknown> {
  const implementation = spec.engines.ARROW
  if (!implementation) throw new Error(`function ${spec.name} has no implementation for Arrow`)
  try {
    const answer = await implementation(context)
    await frames.settled()
    if (frames.failure) throw frames.failure.error
    return answer
  } catch (error) {
    // A full disk is no less full for the words that the function found for it.
    if (frames.failure && faultOf(frames.failure.error) === 'surroundings') throw frames.failure.error
    throw undeclared(spec, error) ?? error
  }
}

function contextOf(
  run: FunctionRun,
  frames: FunctionFrames,
  sources: ReadSources,
  signal: AbortSignal,
): FrameFunctionContext {
  return {
    ...intentContext(run, signal),
    ...frames.tools,
    memoryBytes: run.context.memoryBytes,
    reads: sources.frames(({ frame, rows }) => frames.counted(frame, rows)),
    table: name => frames.table(name),
    where: (name, filter) => frames.where(name, filterOf(run.kind, name, filter)),
    append: (name, frame) => frames.append(name, frame),
    upsert: (name, frame) => frames.upsert(name, frame),
    replace: (name, frame) => frames.replace(name, frame),
    remove: (name, frame) => frames.remove(name, frame),
    step: <T, const F extends readonly Rows[]>(name: string, fn: (...given: F) => T | Promise<T>, ...given: F) =>
      functionStep(run, signal, name, async span => {
        const count = (attribute: string, all: readonly unknown[]) => {
          const rows = frames.rowsOf(all)
          if (rows !== undefined) span.setAttribute(attribute, rows)
        }
        count('teatree.rows_in', given)
        const out = await frames.computed(await fn(...given))
        count('teatree.rows_out', [out])
        return out
      }),
  }
}
