import { hash } from 'node:crypto'
import type { QueryRunResolvers } from '../../schema/resolvers.ts'
import type { SqlResult } from '../../schema/shapes.ts'
import { isUuid } from '../jobs/ledger.ts'
import { canonicalJson } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import { timesSelected } from './answer-budget.ts'
import { badCursor, type Cursors, type PositionPart } from './cursors.ts'
import { pageRequest } from './pages.ts'
import { selected } from './selection.ts'

/** The result that a page is of, and how many rows of it come before. */
const POSITION: PositionPart[] = [
  { type: 'VARCHAR', nullable: false },
  { type: 'INTEGER', nullable: false },
]
const MAX_PARAMS = 1_000

/** `snapshot.sql`: a SELECT over the tables of a version. */
export const sql: Pick<QueryRunResolvers, 'sql'> = {
  async sql(snapshot, { statement, params, ...args }, context, info) {
    const { model, version } = snapshot
    const { size, after } = pageRequest(args)
    const given = plainParams('params', params)
    const asked = hash('sha256', canonicalJson([statement, given]))
    const scope = `sql ${version.model}@${version.version} ${asked}`
    const { cursors } = context
    const { result, offset } = after === null ? { result: '', offset: 0 } : positionOf(cursors, scope, after)
    const start = { result, offset, size }
    const of = { model, reader: await snapshot.reader(), statement, params: given, scope }
    const page = await context.services.sql.page(of, start, context.signal)
    context.budget.charge(page.rows, timesSelected(selected(info)))
    // Who goes on has to find the version, too.
    if (page.hasNextPage) context.reading.paged(version)
    return resultPage(page, offset, at => cursors.encode(scope, [page.result, at]))
  },
}

/** What a cursor says is checked like any argument: a result's name becomes that of a file. */
function positionOf(cursors: Cursors, scope: string, cursor: string): { result: string; offset: number } {
  const [result, offset] = cursors.decode(scope, POSITION, cursor)
  const position = { result: String(result), offset: Number(offset) }
  if (position.offset < 0 || !(position.result === '' || isUuid(position.result))) throw badCursor()
  return position
}

/** A page of a result, whose rows lie behind `offset` others; `cursor` names the position behind so many rows. */
export function resultPage(
  { columns, rows, hasNextPage }: Pick<SqlResult, 'columns' | 'rows'> & { hasNextPage: boolean },
  offset: number,
  cursor: (rows: number) => string,
): SqlResult {
  const isEmpty = rows.length === 0
  return {
    columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })),
    rows,
    pageInfo: {
      hasNextPage,
      hasPreviousPage: offset > 0,
      startCursor: isEmpty ? null : cursor(offset + 1),
      endCursor: isEmpty ? null : cursor(offset + rows.length),
    },
  }
}

/** @throws TeatreeError BAD_VALUE where one is no plain value, and no list of such */
export function plainParams(at: string, params: readonly unknown[] | null | undefined): readonly unknown[] {
  const given = params ?? []
  if (given.length > MAX_PARAMS) throw new TeatreeError('BAD_VALUE', `${at}: at most ${MAX_PARAMS}.`)
  const isPlain = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value)
  const wrong = given.findIndex(value => !isPlain(value) && !(Array.isArray(value) && value.every(isPlain)))
  if (wrong < 0) return given
  throw new TeatreeError(
    'BAD_VALUE',
    `${at}: what is given for $${wrong + 1} is neither text, number, true, false, null, nor a list of such.`,
  )
}
