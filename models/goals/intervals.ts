/** The intervals that goals are kept in, and how many months each is long. */
export const MONTHS = { MONTH: 1, QUARTER: 3, YEAR: 12 } as const
export type Interval = keyof typeof MONTHS

/** The days from `from` up to and without `to`. Dates are ISO dates throughout, which compare as text. */
export interface Period {
  readonly from: string
  readonly to: string
}

/** The first day of the interval that holds the date. */
export function beginning(date: string, interval: Interval): string {
  const [year, month] = partsOf(date)
  return `${year}-${String(month - ((month - 1) % MONTHS[interval])).padStart(2, '0')}-01`
}

/** Whether an interval begins with the date, and so another ends before it. */
export const isBorder = (date: string, interval: Interval): boolean => beginning(date, interval) === date

/** How many intervals lie from one border to another; below 0 where `to` is the earlier. */
export function intervalsBetween(from: string, to: string, interval: Interval): number {
  const [fromYear, fromMonth] = partsOf(from)
  const [toYear, toMonth] = partsOf(to)
  return ((Number(toYear) - Number(fromYear)) * 12 + toMonth - fromMonth) / MONTHS[interval]
}

/** The first day of the month so many months after that of the date. */
export function monthsAfter(date: string, months: number): string {
  const [year, month] = partsOf(date)
  const count = Number(year) * 12 + month - 1 + months
  return `${String(Math.floor(count / 12)).padStart(4, '0')}-${String((count % 12) + 1).padStart(2, '0')}-01`
}

/** The period in so many parts of whole intervals, of nearly the same length; fewer where it has fewer intervals. */
export function split({ from, to }: Period, interval: Interval, parts: number): Period[] {
  const count = intervalsBetween(from, to, interval)
  const size = Math.ceil(count / parts)
  const border = (index: number) => monthsAfter(from, Math.min(index, count) * MONTHS[interval])
  return Array.from({ length: Math.ceil(count / size) }, (_, part) => ({
    from: border(part * size),
    to: border((part + 1) * size),
  }))
}

/** The year as it is written, and the month from 1 to 12. */
function partsOf(date: string): [year: string, month: number] {
  const [year = '', month] = date.split('-')
  return [year, Number(month)]
}
