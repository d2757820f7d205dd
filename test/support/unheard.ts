import type { Transaction } from '../../src/platform/postgres.ts'

/** What is done in it is told to nobody. */
export const unheard = (tx: Transaction): Transaction => ({
  ...tx,
  query: async (text, values) => (text.includes("pg_notify('teatree'") ? [] : tx.query(text, values)),
})
