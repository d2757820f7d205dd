import type { QueryGrant, QuerySettings } from '../../src/platform/settings.ts'

/** What a statement or a run may take in tests: little, so that they meet the bounds soon. */
const GRANT: QueryGrant = { places: 2, seconds: 30, rows: 10_000, bytes: 4 << 20 }

export interface QueryOptions {
  sql?: Partial<QueryGrant>
  runs?: Partial<QuerySettings['runs']>
}

export const querySettings = ({ sql, runs }: QueryOptions = {}): QuerySettings => ({
  memoryBytes: 256 << 20,
  sql: { ...GRANT, ...sql },
  runs: { ...GRANT, keptSeconds: 3600, ...runs },
})
