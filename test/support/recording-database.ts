import { Database, type Transaction } from '../../src/platform/postgres.ts'

export interface Statement {
  text: string
  values: readonly unknown[]
  /** Its connection keeps it prepared. */
  isPrepared: boolean
}

/** A database that remembers what it was asked, in transactions too. */
export class RecordingDatabase extends Database {
  readonly statements: Statement[] = []

  override query<R extends object>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    this.statements.push({ text, values, isPrepared: false })
    return super.query<R>(text, values)
  }

  override again<R extends object>(text: string, values: readonly unknown[]): Promise<R[]> {
    this.statements.push({ text, values, isPrepared: true })
    return super.again<R>(text, values)
  }

  override transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    return super.transaction(tx =>
      fn({
        transaction: true,
        query: (text, values = []) => {
          this.statements.push({ text, values, isPrepared: true })
          return tx.query(text, values)
        },
      }),
    )
  }
}
