import type { Table } from '../../kinds/kind.ts'
import { isWhole, WIDE } from '../measures.ts'
import type { Measure } from '../plan.ts'
import { columnOf } from '../plan-tables.ts'
import { quoted } from './sql.ts'

/** The measure over a group. */
export function measureSql(table: Table, measure: Measure): string {
  if (measure.is === 'count') return 'count(*)'
  const column = quoted(measure.column)
  const { type } = columnOf(table, measure.column)
  // Sums of doubles depend on the order, which is another in every run of a parallel scan: sorted, and with Kahan's
  // compensation, a version's answer never changes. Everything else is summed in integers.
  const doubles = type === 'DOUBLE' ? `(${column} ORDER BY ${column})` : undefined
  switch (measure.is) {
    case 'sum':
      if (doubles) return `fsum${doubles}`
      return isWhole(type) ? `CAST(sum(${column}) AS ${WIDE})` : `sum(${column})`
    case 'avg':
      return doubles ? `favg${doubles}` : `avg(${column})`
    case 'countDistinct':
      return `count(DISTINCT ${column})`
    default:
      return `${measure.is}(${column})`
  }
}
