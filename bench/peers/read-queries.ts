/** What is measured: each query for every contestant, in its own words. `n` makes it another of its sort. */
export const QUERIES = ['filtered page', 'page in the middle', 'months', 'row by key'] as const
export type QueryName = (typeof QUERIES)[number]

/** What the queries choose their values from. */
export interface Chosen {
  sites: readonly string[]
  /** Rows here and there in the order of dates. */
  rows: readonly { date: string; orderId: string; line: number }[]
}

export const PAGE_ROWS = 20

/** Amounts above which sales are looked for: nearly all, each time another threshold. */
export const threshold = (n: number): string => (1 + (n % 100_000) / 10_000).toFixed(4)

export const pick = <T>(values: readonly T[], n: number): T => values[n % values.length] as T
