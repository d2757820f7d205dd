import type { EngineName } from '../../kinds/context.ts'
import type { Row, Value } from '../../kinds/types.ts'

/*
 * What is said between the comparison and the processes that do its tasks (task-program.ts), one task of one engine each.
 *
 *   import ──▶ function … ──▶ queries
 *      └─────▶ writes ──▶ tables          each begins with the versions that those before it have published
 */

export type TaskName = 'import' | 'function' | 'queries' | 'writes' | 'tables'

/** One task of one engine. */
export interface Task {
  is: TaskName
  engine: EngineName
  /** Of the comparison, where data and versions are. */
  dir: string
  /** Of the kind `goals`, of which those that are done before it have had their turn. */
  function: string
  /** As its implementation gets them. */
  arguments: Readonly<Record<string, unknown>>
  /** How many orders the data have, which are numbered from 1. */
  orders: number
  /** What its process may have, where that is bounded. */
  memoryBytes: number | null
}

/** What a task took. Milliseconds and bytes, by what was measured. */
export type Figures = Readonly<Record<string, number>>

/** What a query answered, each time that it was asked. */
export type Answers = Readonly<Record<string, readonly Answer[]>>
export type Answer = readonly (Row | readonly (readonly Value[])[])[]

export interface Done {
  figures: Figures
  answers: Answers
  /** Queries that an engine has refused, as they may need more memory than there is. */
  refused: readonly string[]
  /** Of what a function said. */
  result: Row | null
}

export type FromTask =
  | { is: 'step'; step: string }
  | ({ is: 'done' } & Done)
  /** Refused, with a code that clients know, or failed. */
  | { is: 'failed'; code: string | null; message: string; isOutOfMemory: boolean }
