import type { Kind } from '../../kinds/kind.ts'
import { groupColumn, measureColumn, measuresOf } from '../aggregate-rows.ts'
import type { AggregatePlan, Measure } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { groupExprs, grouped } from './groups.ts'
import { isPast, meanOf, measureExpr, ofSome } from './measures.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'
import { type Frames, selected } from './where.ts'

/*
 * Groups of a table of which one part is read after the other. What a part has of a group is a row, of several such rows of
 * one group another is made, and of the last the measures:
 *
 *   part 1 ──▶ (group, partials) ─┬─▶ (group, partials) ─┬─▶ … ──▶ (group, measures)
 *   part 2 ──▶ (group, partials) ─┘                      │
 *   part 3 ──▶ (group, partials) ────────────────────────┘
 *
 * Values that are counted once however often they are there are part of the group until then.
 */

/** What a measure is made of. */
interface Partials {
  columns: { name: string; ofRows: Expr; ofPartials: Expr }[]
  measure: Expr
}

/** Sums that may be past 38 digits are not made so: of a part one may be, and not the whole. */
export const isPartial = (kind: Kind, plan: AggregatePlan): boolean =>
  measuresOf(plan).every(measure => isPast(tableOf(kind, plan.table), measure) === null)

/** The partials of the rows that the frames have of the plan's table. */
export function partialsOfRows(frames: Frames, plan: AggregatePlan): LazyDataFrame {
  const table = tableOf(frames.kind, plan.table)
  const { where } = plan
  const rows = selected(frames, table, frames.frame(table.name, { is: 'where', where }), where)
  const by = [...groupExprs(plan), ...distinctColumns(plan).map(name => pl.col(name).alias(distinctColumn(name)))]
  return grouped(
    rows,
    by,
    partials(frames.kind, plan).flatMap(({ columns }) => columns.map(({ ofRows }) => ofRows)),
  )
}

/** The partials of all groups, of which there may be several of one. */
export function partialsTogether(kind: Kind, plan: AggregatePlan, all: LazyDataFrame): LazyDataFrame {
  const by = [...groupNames(plan), ...distinctColumns(plan).map(distinctColumn)].map(name => pl.col(name))
  return grouped(
    all,
    by,
    partials(kind, plan).flatMap(({ columns }) => columns.map(({ ofPartials }) => ofPartials)),
  )
}

/** The groups with their measures, as groups.ts makes them of rows. */
export function groupsOfPartials(kind: Kind, plan: AggregatePlan, all: LazyDataFrame): LazyDataFrame {
  const by = groupNames(plan).map(name => pl.col(name))
  const measures = partials(kind, plan).map(({ measure }, index) => measure.alias(measureColumn(index)))
  return grouped(all, by, measures)
}

const groupNames = ({ groups }: AggregatePlan): string[] => groups.map((_, index) => groupColumn(index))

const partials = (kind: Kind, plan: AggregatePlan): Partials[] =>
  measuresOf(plan).map((measure, index) => partialsOf(kind, plan, measure, `partial ${index}`))

function partialsOf(kind: Kind, plan: AggregatePlan, measure: Measure, name: string): Partials {
  const table = tableOf(kind, plan.table)
  const partial = pl.col(name)
  const one = (ofPartials: Expr): Partials => ({
    columns: [{ name, ofRows: measureExpr(table, measure).alias(name), ofPartials: ofPartials.alias(name) }],
    measure: ofPartials,
  })
  switch (measure.is) {
    case 'count':
      return one(partial.sum())
    case 'min':
      return one(partial.min())
    case 'max':
      return one(partial.max())
    case 'sum':
      return one(ofSome(partial, partial.sum()))
    case 'countDistinct':
      return { columns: [], measure: pl.col(distinctColumn(measure.column)).dropNulls().nUnique().cast(pl.Int64) }
    case 'avg': {
      const count = `count of ${name}`
      const sum = ofSome(partial, partial.sum())
      const counts = pl.col(count).sum()
      const rows = pl.col(measure.column).count().cast(pl.Int64)
      return {
        columns: [
          {
            name,
            ofRows: measureExpr(table, { is: 'sum', column: measure.column }).alias(name),
            ofPartials: sum.alias(name),
          },
          { name: count, ofRows: rows.alias(count), ofPartials: counts.alias(count) },
        ],
        measure: ofSome(partial, meanOf(columnOf(table, measure.column).type, partial.sum(), counts)),
      }
    }
  }
}

/** No column of a kind has a space in its name. */
const distinctColumn = (name: string) => `distinct ${name}`

const distinctColumns = (plan: AggregatePlan): string[] =>
  measuresOf(plan).flatMap(measure => (measure.is === 'countDistinct' ? [measure.column] : []))
