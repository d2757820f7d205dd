import type { FrameAnswer } from '../../kinds/definition.ts'
import type { FrameQueryContext } from '../../kinds/frames.ts'
import type { KindQuery } from '../../kinds/kind.ts'
import { declaredRow } from '../declared-row.ts'
import type { QueryPage, QueryRows } from '../engine.ts'
import { behind, firstInOrder, type OrderKey } from './keyset.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { counted } from './rows.ts'

/**
 * A page of a query function: its frame, ordered by its `orderBy`, ascending, nulls last. An answer that is not of the
 * declared columns is a fault of the kind, and an Error that says where.
 */
export async function pageOfQuery(query: KindQuery, context: FrameQueryContext, page: QueryPage): Promise<QueryRows> {
  const answer = await frameAnswer(query, context)
  const order = orderOf(query, answer)
  const all = declaredColumns(query, answer)
  const found = await context.rows(
    firstInOrder(page.after ? all.filter(behind(order, page.after)) : all, order, page.limit),
  )
  const at = `query ${query.name}`
  const rows = found.map(row => declaredRow(at, query.rowColumns, row))
  return {
    rows,
    positions: rows.map(row => answer.orderBy.map(name => row[name] ?? null)),
    page: declaredRow(at, query.pageColumns, answer.page ?? {}),
    total: page.count ? await countOf(answer, context) : null,
  }
}

/** All rows of a query function, in its order. */
export async function allOfQuery(query: KindQuery, context: FrameQueryContext): Promise<LazyDataFrame> {
  const answer = await frameAnswer(query, context)
  const order = orderOf(query, answer)
  const rows = declaredColumns(query, answer)
  return order.length === 0
    ? rows
    : rows.sort(
        answer.orderBy.map(name => pl.col(name)),
        false,
        true,
      )
}

async function frameAnswer(query: KindQuery, context: FrameQueryContext): Promise<FrameAnswer> {
  const implementation = query.engines.ARROW
  if (!implementation) throw new Error(`query ${query.name} has no implementation for Arrow`)
  return implementation(context)
}

const declaredColumns = (query: KindQuery, { frame }: FrameAnswer): LazyDataFrame =>
  frame.select([...query.rowColumns.keys()].map(name => pl.col(name)))

async function countOf({ frame }: FrameAnswer, context: FrameQueryContext): Promise<bigint> {
  const [row] = await context.rows(counted(frame).frame)
  return BigInt(String(row?.count))
}

const orderOf = (query: KindQuery, { orderBy }: FrameAnswer): OrderKey[] =>
  orderBy.map(name => {
    const column = query.rowColumns.get(name)
    if (!column) throw new Error(`query ${query.name} orders by ${name}, which is no column of its rows`)
    return { column: name, type: column.type, direction: 'ASC', nulls: 'LAST' }
  })
