import type { ReadModel } from '../../kinds/context.ts'
import type { Kind, Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import type { Unit } from '../batch-units.ts'
import type { SnapshotRef, Work, WorkOutcome } from '../engine.ts'
import { tableOf } from '../plan-tables.ts'
import { rowsWritten } from '../row-counts.ts'
import type { ModelConnection } from './database.ts'
import { runFunction } from './functions.ts'
import type { WantedSource } from './hydrated-sources.ts'
import { applyImport } from './imports/index.ts'
import { interruptible } from './interruptible.ts'
import { appendRow, appendStage, deleteRows, updateRows, upsertStage } from './row-writes.ts'
import { stageRows } from './stage.ts'

/** What a unit is applied to. */
export interface UnitContext {
  db: ModelConnection
  kind: Kind
  /** A folder for files on the way. */
  dir: string
  /** The models that the unit reads, attached. */
  models: readonly ReadModel[]
  signal: AbortSignal
  /** Begins the transaction, where it has not begun. */
  begin(): Promise<void>
}

/** Applies the unit in a transaction that it begins; its outcomes, in the order of its places. @throws to be rolled back */
export async function applyUnit(context: UnitContext, unit: Unit): Promise<WorkOutcome[]> {
  const { db, kind, models, signal, begin } = context
  if (unit.is === 'single' && unit.work.change.is === 'function') {
    const { work } = unit
    const result = await runFunction({ ...db, kind, work, change: unit.work.change, reads: models, signal, begin })
    return [{ ok: true, result }]
  }
  await begin()
  return interruptible(db.connection, signal, async () => {
    if (unit.is === 'single') return [{ ok: true, result: await applySingle(context, unit.work) }]
    const write = unit.is === 'append' ? append : upsert
    return write(db, tableOf(kind, unit.table), unit.rows)
  })
}

/** Which versions of other models the unit reads. */
export function sourcesOf(unit: Unit): WantedSource[] {
  if (unit.is !== 'single') return []
  const { change } = unit.work
  if (change.is === 'function') return change.reads.map(ref => ({ ref }))
  if (change.is !== 'import' || change.source.is !== 'snapshot') return []
  return [{ ref: change.source.snapshot, tables: [change.source.table] }]
}

async function applySingle(context: UnitContext, work: Work): Promise<Row> {
  const { db, kind, dir, models, signal } = context
  const { change, onStep } = work
  const attached = (ref: SnapshotRef): ReadModel => {
    const model = models.find(({ alias }) => alias === ref.alias)
    if (!model) throw new Error(`nothing is attached as ${ref.alias}`)
    return model
  }
  switch (change.is) {
    case 'update': {
      const table = tableOf(kind, change.table)
      return rowsWritten(table, await updateRows(db.sql, kind, table, change))
    }
    case 'delete': {
      const table = tableOf(kind, change.table)
      return rowsWritten(table, await deleteRows(db.sql, kind, table, change.where))
    }
    case 'import': {
      const { mode, source } = change
      const table = tableOf(kind, change.table)
      const counts = await applyImport({
        sql: db.sql,
        kind,
        table,
        mode,
        source,
        attached: async ref => attached(ref),
        scratch: dir,
        signal,
        onStep,
      })
      return rowsWritten(table, counts)
    }
    default:
      throw new Error(`${change.is} is no change that is applied alone`)
  }
}

async function append(db: ModelConnection, table: Table, rows: readonly (readonly Row[])[]): Promise<WorkOutcome[]> {
  const inserted = (length: number): WorkOutcome => ({
    ok: true,
    result: rowsWritten(table, { inserted: length, updated: 0, deleted: 0 }),
  })
  const [row, ...others] = rows.flat()
  if (row && others.length === 0 && rows.length === 1 && (await appendRow(db, table, row))) return [inserted(1)]
  await stageRows(db.sql, table, rows)
  const { refused } = await appendStage(db.sql, table, rows.length)
  return rows.map(({ length }, intent) => {
    const error = refused.get(intent)
    return error ? { ok: false, error } : inserted(length)
  })
}

async function upsert(
  { sql }: ModelConnection,
  table: Table,
  rows: readonly (readonly Row[])[],
): Promise<WorkOutcome[]> {
  await stageRows(sql, table, rows)
  const counts = await upsertStage(sql, table, rows.length)
  return counts.map(count => ({ ok: true, result: rowsWritten(table, count) }))
}
