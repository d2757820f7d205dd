import type { Parameters } from '../../kinds/context.ts'
import type { Kind } from '../../kinds/kind.ts'
import type { TableNames } from './where-sql.ts'

/** A statement as a plan compiles to it: the same plan gives the same text, with its values in `params`. */
export interface Statement {
  text: string
  params: Parameters
  /** So many rows come of it at most, where that is known. */
  most?: number
}

/** What a plan is compiled against: the kind, and how its tables are called in the snapshot. */
export interface Scope {
  kind: Kind
  names: TableNames
}
