import type { KindShape } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'

/** What the database says of itself, in the one row of `_teatree.state`; written in the transaction of each batch. */
export interface State {
  /** The version it holds, or PART_OF_BATCH. */
  version: number
  /** The seq of the last intent that has been applied or refused. */
  lastSeq: bigint
  shape: KindShape
}

/** A batch that takes several transactions has this version in between; no database is ever begun from such a state. */
export const PART_OF_BATCH = -1

export async function createState(sql: DuckDBSql, shape: KindShape): Promise<void> {
  await sql.run(
    `CREATE SCHEMA _teatree;
     CREATE TABLE _teatree.state (version INTEGER NOT NULL, last_seq BIGINT NOT NULL, shape VARCHAR NOT NULL);
     INSERT INTO _teatree.state VALUES (0, 0, $shape)`,
    { shape: JSON.stringify(shape) },
  )
}

/** Of the database that is open, or of the one attached as `alias`. */
export const readState = async (sql: DuckDBSql, alias?: string): Promise<State> =>
  stateOf(await sql.all(selectState(alias)))

/** The statement whose rows say it. */
export const selectState = (alias?: string): string =>
  `SELECT version, last_seq, shape FROM ${alias === undefined ? '' : `${quoted(alias)}.`}_teatree.state`

export function stateOf([row, more]: readonly Row[]): State {
  if (!row || more) throw new Error('the database does not say what it holds')
  return { version: Number(row.version), lastSeq: BigInt(String(row.last_seq)), shape: JSON.parse(String(row.shape)) }
}

/** Writes those that are given. Fails where an error before it has spoilt the transaction, which a COMMIT would not tell. */
export const writeState = (sql: DuckDBSql, state: Partial<State>): Promise<void> => sql.run(stateStatement(state))

export function stateStatement({ version, lastSeq, shape }: Partial<State>): string {
  const set: string[] = []
  if (version !== undefined) set.push(`version = ${version}`)
  if (lastSeq !== undefined) set.push(`last_seq = ${lastSeq}`)
  if (shape !== undefined) set.push(`shape = ${literal(JSON.stringify(shape))}`)
  return `UPDATE _teatree.state SET ${set.join(', ')}`
}
