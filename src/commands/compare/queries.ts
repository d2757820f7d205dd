import type { SnapshotReader } from '../../engine/engine.ts'
import { type AggregatePlan, ALL, type Filter, type Order, type RowsPlan } from '../../engine/plan.ts'
import type { Kind, KindQuery } from '../../kinds/kind.ts'
import { coerceArguments } from '../../kinds/validate.ts'
import type { Answer } from './messages.ts'

/** How often each is asked, each time another; the first is not measured. */
export const ROUNDS = 7
const PAGE_ROWS = 20
const MAX_GROUPS = 1000

const SALE_KEY: readonly Order[] = ['orderId', 'line'].map(column => ({ column, direction: 'ASC', nulls: 'LAST' }))
const LINE = ['orderId', 'line', 'date', 'siteId', 'productId', 'customerId', 'salespersonId', 'quantity', 'amount']

/** Nobody is asked the same twice: an answer that is kept would say nothing of the engine. */
const above = (n: number): Filter => ({ is: 'compare', column: 'amount', op: 'gt', value: `${n + 1}.5000` })
const eq = (column: string, value: string): Filter => ({ is: 'compare', column, op: 'eq', value })

const page = (where: Filter, orderBy: readonly Order[], more: Partial<RowsPlan> = {}): RowsPlan => ({
  table: 'sales',
  columns: LINE,
  where,
  orderBy: [...orderBy, ...SALE_KEY],
  limit: PAGE_ROWS,
  ...more,
})

const sums = (where: Filter, groups: AggregatePlan['groups'], orderBy: AggregatePlan['orderBy']): AggregatePlan => ({
  table: 'sales',
  where,
  groups,
  measures: [{ is: 'count' }, { is: 'sum', column: 'amount' }],
  having: [],
  orderBy,
  limit: MAX_GROUPS,
})
const group = (index: number) => ({ by: { is: 'group', index }, direction: 'ASC', nulls: 'LAST' }) as const

/** Reads of a version of sales. `n` makes each another. */
export const SALES_QUERIES: Readonly<Record<string, (reader: SnapshotReader, n: number) => Promise<Answer>>> = {
  'filtered page': async (reader, n) =>
    reader.rows(
      page({ is: 'and', of: [eq('siteId', `S0${(n % 9) + 1}`), above(n)] }, [
        { column: 'date', direction: 'DESC', nulls: 'LAST' },
      ]),
    ),
  'page in the middle': async (reader, n) =>
    reader.rows(
      page(ALL, [{ column: 'date', direction: 'ASC', nulls: 'LAST' }], { after: [`2024-12-${10 + n}`, 'O', 0] }),
    ),
  'sums by month': async (reader, n) =>
    groups(reader, sums(above(n), [{ column: 'date', bucket: 'MONTH' }], [group(0)])),
  'sums by site and product': async (reader, n) =>
    groups(reader, sums(above(n), [{ column: 'siteId' }, { column: 'productId' }], [group(0), group(1)])),
  'customers by month': async (reader, n) =>
    groups(reader, {
      ...sums(above(n), [{ column: 'date', bucket: 'MONTH' }], [group(0)]),
      measures: [
        { is: 'countDistinct', column: 'customerId' },
        { is: 'max', column: 'amount' },
      ],
    }),
}

async function groups(reader: SnapshotReader, plan: AggregatePlan): Promise<Answer> {
  return (await reader.aggregate(plan)).map(row => [row.groups, row.measures])
}

/** What is asked of the kind's query functions: those that it can be asked for anything. */
export const QUERY_FUNCTIONS: Readonly<Record<string, (n: number) => Record<string, unknown>>> = {
  attainment: n => ({ from: `2025-0${n + 1}-01`, to: '2026-01-01', by: ['SITE', 'PRODUCT'], interval: 'MONTH' }),
}

/** A page of the query function, and how many rows it has in all. */
export async function askFunction(reader: SnapshotReader, kind: Kind, query: KindQuery, n: number): Promise<Answer> {
  const args = coerceArguments(kind, query, QUERY_FUNCTIONS[query.name]?.(n) ?? {})
  const { rows, page, total } = await reader.query(query.name, args, { limit: MAX_GROUPS, count: true })
  return [...rows, { ...page, total: String(total) }]
}
