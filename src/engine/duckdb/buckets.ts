import type { Bucket } from '../plan.ts'

/** Of a bucket: its number, out of an operand; and its first day, out of its number. */
const BUCKETS: Record<Bucket, { number(operand: string): string; day(number: string): string }> = {
  DAY: { number: day => `CAST(${day} AS DATE)`, day: number => number },
  WEEK: { number: day => `(CAST(${day} AS DATE) - (isodow(${day}) - 1)::INTEGER)`, day: number => number },
  MONTH: {
    number: day => `(year(${day}) * 12 + month(${day}) - 1)`,
    day: number => `make_date(${number} // 12, ${number} % 12 + 1, 1)`,
  },
  QUARTER: {
    number: day => `(year(${day}) * 4 + quarter(${day}) - 1)`,
    day: number => `make_date(${number} // 4, ${number} % 4 * 3 + 1, 1)`,
  },
  YEAR: { number: day => `year(${day})`, day: number => `make_date(${number}, 1, 1)` },
}

/**
 * What rows are grouped by for a bucket. `date_trunc` makes a date of every row, and takes four times as long as all the
 * rest of an aggregate: numbers are grouped by, and a date is made of each group.
 */
export const bucketNumber = (bucket: Bucket, operand: string): string => BUCKETS[bucket].number(operand)

/** The first day of the bucket with this number; weeks begin on Monday. */
export const bucketDay = (bucket: Bucket, number: string): string => BUCKETS[bucket].day(number)
