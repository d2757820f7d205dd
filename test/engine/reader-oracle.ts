import type { DiffRow } from '../../src/engine/engine.ts'
import type { AggregatePlan, AggregateRow, DiffPlan, Filter, Measure, RowsPlan } from '../../src/engine/plan.ts'
import type { Kind, Table } from '../../src/kinds/kind.ts'
import { decimalOf, type LogicalType, type Row, type Value } from '../../src/kinds/types.ts'
import type { TableRowsByName } from './reader-model.ts'
import { bucketed, byType, decide, decimalText, nullsAt, PLACES, rowOrder, units } from './reader-oracle-values.ts'

/**
 * What plans mean, a row at a time and by other means than the engine's: decimals are BigInts of 10^-40, texts are
 * compared as buffers, LIKE matches letter by letter, dates are JavaScript's.
 */
export class Oracle {
  readonly #kind: Kind
  readonly #rows: TableRowsByName

  constructor(kind: Kind, rows: TableRowsByName) {
    this.#kind = kind
    this.#rows = rows
  }

  rows(plan: RowsPlan): Row[] {
    const table = this.table(plan.table)
    const compare = rowOrder(
      plan.orderBy.map(({ column, direction, nulls }) => ({
        read: row => row[column] ?? null,
        compare: nullsAt(byType(typeOf(table, column)), direction, nulls),
      })),
    )
    const asRow = (position: readonly Value[]): Row =>
      Object.fromEntries(plan.orderBy.map(({ column }, index) => [column, position[index] ?? null]))
    let found = this.#selected(table, plan.where).sort(compare)
    const { after, before } = plan
    if (after) found = found.filter(row => compare(row, asRow(after)) > 0)
    if (before) found = found.filter(row => compare(row, asRow(before)) < 0)
    const page = plan.last ? found.slice(Math.max(0, found.length - plan.limit)) : found.slice(0, plan.limit)
    const columns = new Set([...plan.columns, ...plan.orderBy.map(({ column }) => column)])
    return page.map(row => Object.fromEntries([...columns].map(name => [name, row[name] ?? null])))
  }

  count(table: string, where: Filter): bigint {
    return BigInt(this.#selected(this.table(table), where).length)
  }

  aggregate(plan: AggregatePlan): AggregateRow[] {
    const table = this.table(plan.table)
    const groups = new Map<string, { values: Value[]; rows: Row[] }>()
    if (plan.groups.length === 0) groups.set('[]', { values: [], rows: [] })
    for (const row of this.#selected(table, plan.where)) {
      const values = plan.groups.map(({ column, bucket }) => bucketed(row[column] ?? null, bucket))
      const group = groups.get(JSON.stringify(values)) ?? { values, rows: [] }
      groups.set(JSON.stringify(values), group)
      group.rows.push(row)
    }
    const kept = [...groups.values()].filter(({ rows }) =>
      plan.having.every(
        ({ measure, filter }) => decide(filter, () => measured(table, measure, rows), 'DECIMAL(38,20)') === true,
      ),
    )
    const answers = kept.map(({ values, rows }) => ({
      groups: values,
      measures: plan.measures.map(measure => measured(table, measure, rows)),
      position: plan.orderBy.map(({ by }) =>
        by.is === 'group' ? (values[by.index] ?? null) : measured(table, by, rows),
      ),
    }))
    const orders = plan.orderBy.map(({ by, direction, nulls }) => {
      const type = by.is === 'group' ? typeOf(table, plan.groups[by.index]?.column ?? '') : measureType(table, by)
      return nullsAt(byType(type), direction, nulls)
    })
    const compare = (a: readonly Value[], b: readonly Value[]) =>
      orders.map((order, index) => order(a[index] ?? null, b[index] ?? null)).find(result => result !== 0) ?? 0
    const { after } = plan
    return answers
      .sort((a, b) => compare(a.position, b.position))
      .filter(({ position }) => !after || compare(position, after) > 0)
      .slice(0, plan.limit)
  }

  /** All changes from the older rows to these. */
  diff(older: Oracle, plan: DiffPlan): DiffRow[] {
    const table = this.table(plan.table)
    const keyOf = (row: Row) => table.key.map(name => row[name] ?? null)
    const byKey = (rows: readonly Row[]) => new Map(rows.map(row => [JSON.stringify(keyOf(row)), row]))
    const before = byKey(older.#rows[table.name] ?? [])
    const after = byKey(this.#rows[table.name] ?? [])
    const narrowed = (row: Row | undefined): Row | null =>
      row ? Object.fromEntries(plan.columns.map(name => [name, row[name] ?? null])) : null
    const changes: DiffRow[] = []
    for (const text of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(text), after.get(text)]
      const same = was && is && [...table.columns.keys()].every(name => (was[name] ?? null) === (is[name] ?? null))
      if (same) continue
      const shown = (was && older.#decide(table, plan.where, was)) || (is && this.#decide(table, plan.where, is))
      if (shown !== true) continue
      const change = !was ? 'ADDED' : !is ? 'REMOVED' : 'CHANGED'
      changes.push({ change, key: JSON.parse(text), before: narrowed(was), after: narrowed(is) })
    }
    const orders = table.key.map(name => nullsAt(byType(typeOf(table, name)), 'ASC', 'LAST'))
    return changes.sort(
      (a, b) => orders.map((order, i) => order(a.key[i] ?? null, b.key[i] ?? null)).find(result => result !== 0) ?? 0,
    )
  }

  table(name: string): Table {
    const table = this.#kind.tables.get(name)
    if (!table) throw new Error(name)
    return table
  }

  #selected(table: Table, where: Filter): Row[] {
    return (this.#rows[table.name] ?? []).filter(row => this.#decide(table, where, row) === true)
  }

  #decide(table: Table, filter: Filter, row: Row): boolean | null {
    return decide(
      filter,
      column => row[column] ?? null,
      column => typeOf(table, column),
      through => {
        const reference = table.references.find(({ as }) => as === through.as)
        if (!reference) throw new Error(through.as)
        const target = this.table(reference.table)
        return this.#selected(target, through.of).some(other =>
          reference.columns.every((name, index) => {
            const [mine, its] = [row[name] ?? null, other[target.key[index] ?? ''] ?? null]
            return mine === its
          }),
        )
      },
    )
  }
}

function typeOf(table: Table, column: string): LogicalType {
  const type = table.columns.get(column)?.type
  if (!type) throw new Error(column)
  return type
}

function measureType(table: Table, measure: Measure): LogicalType {
  if (measure.is === 'count' || measure.is === 'countDistinct') return 'BIGINT'
  if (measure.is === 'avg') return 'DOUBLE'
  const type = typeOf(table, measure.column)
  return measure.is === 'sum' && type === 'INTEGER' ? 'BIGINT' : type
}

function measured(table: Table, measure: Measure, rows: readonly Row[]): Value {
  if (measure.is === 'count') return String(rows.length)
  const type = typeOf(table, measure.column)
  const compare = byType(type)
  const values = rows.map(row => row[measure.column] ?? null).filter(value => value !== null)
  if (measure.is === 'countDistinct') return String(new Set(values).size)
  if (values.length === 0) return null
  if (measure.is === 'min' || measure.is === 'max') {
    const sorted = values.toSorted(compare)
    return sorted[measure.is === 'min' ? 0 : sorted.length - 1] ?? null
  }
  const sum = type === 'DOUBLE' ? 0n : values.reduce((total: bigint, value) => total + units(value), 0n)
  const doubles = type === 'DOUBLE' ? values.reduce((total: number, value) => total + Number(value), 0) : 0
  if (measure.is === 'sum') return type === 'DOUBLE' ? doubles : decimalText(sum, decimalOf(type)?.scale ?? 0)
  const total = type === 'DOUBLE' ? doubles : Number(decimalText(sum, PLACES))
  return total / values.length
}
