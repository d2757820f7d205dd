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

/** Another one for each `n` until all have been, and one after the other from all over. */
export const pick = <T>(values: readonly T[], n: number): T => values[(n * STRIDE) % values.length] as T
/** A prime: no number of values has it as a factor, but for its multiples. */
const STRIDE = 1_000_003
