import type { Row } from '../../kinds/types.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { placesOf, singly, type Unit, unitsOf } from '../batch-units.ts'
import type { Work, WorkOutcome } from '../engine.ts'
import { tableOf } from '../plan-tables.ts'
import { rowsWritten } from '../row-counts.ts'
import { faultOf, refusalOf } from './errors.ts'
import type { FileChecks } from './file-checks.ts'
import { runFunction } from './functions.ts'
import { applyImport, type ImportContext } from './imports.ts'
import { appendStage, deleteRows, type TableFiles, updateRows, upsertStage } from './row-writes.ts'
import type { ScratchFile } from './scratch-files.ts'
import { stageOf } from './stage.ts'

/** What a batch is applied to. */
export interface BatchContext extends Omit<ImportContext, 'tables'> {
  /** Of what functions read of other models. */
  checks: FileChecks
  /** What functions may take. */
  memoryBytes: number
  /** Is told what clients only learn the id of. */
  onInternal(id: string, error: unknown): void
}
type UnitContext = BatchContext & ImportContext

interface Applied {
  tables: TableFiles
  outcomes: WorkOutcome[]
}

/**
 * Applies a batch. Each unit leads from one set of files to the next, so that of one that is refused nothing has to be
 * taken back: its files are not among those of the next set.
 * @throws what is a fault of the surroundings, and the signal's reason
 */
export async function applyBatch(context: BatchContext, before: TableFiles, batch: readonly Work[]): Promise<Applied> {
  const outcomes: WorkOutcome[] = []
  let tables = before
  const apply = async (unit: Unit): Promise<void> => {
    context.signal.throwIfAborted()
    try {
      const applied = await applyUnit({ ...context, tables }, unit)
      tables = applied.tables
      for (const [index, place] of placesOf(unit).entries()) {
        const outcome = applied.outcomes[index]
        if (outcome) outcomes[place] = outcome
      }
    } catch (error) {
      if (!(error instanceof TeatreeError)) throw error
      const intents = singly(unit)
      if (intents.length > 1) for (const intent of intents) await apply(intent)
      else for (const place of placesOf(unit)) outcomes[place] = { ok: false, error }
    }
  }
  for (const unit of unitsOf(batch).flat()) await apply(unit)
  return { tables, outcomes }
}

/** @throws TeatreeError with which the unit's intents are refused, if there is more than one, each for itself */
async function applyUnit(context: UnitContext, unit: Unit): Promise<Applied> {
  if (unit.is === 'single' && unit.work.change.is === 'function') {
    return applyFunction(context, unit.work, unit.work.change)
  }
  if (unit.is === 'single') {
    const { table, files, result } = await applySingle(context, unit.work)
    return { tables: withFiles(context.tables, table, files), outcomes: [{ ok: true, result }] }
  }
  const table = tableOf(context.kind, unit.table)
  const stage = await stageOf(table, unit.rows)
  if (unit.is === 'upsert') {
    const { files, counts } = await upsertStage(context, table, stage)
    const outcomes = counts.map((count): WorkOutcome => ({ ok: true, result: rowsWritten(table, count) }))
    return { tables: withFiles(context.tables, table.name, files), outcomes }
  }
  const { files, refused } = await appendStage(context, table, stage)
  const outcomes = unit.rows.map(({ length }, intent): WorkOutcome => {
    const error = refused.get(intent)
    return error
      ? { ok: false, error }
      : { ok: true, result: rowsWritten(table, { inserted: length, updated: 0, deleted: 0 }) }
  })
  return { tables: withFiles(context.tables, table.name, files), outcomes }
}

async function applyFunction(
  context: UnitContext,
  work: Work,
  change: Extract<Work['change'], { is: 'function' }>,
): Promise<Applied> {
  const { kind, signal, onInternal } = context
  try {
    const { tables, result } = await runFunction({ kind, work, change, signal, context })
    return { tables, outcomes: [{ ok: true, result }] }
  } catch (error) {
    if (signal.aborted || faultOf(error) === 'surroundings') throw error
    throw refusalOf(error, onInternal)
  }
}

async function applySingle(
  context: ImportContext,
  work: Work,
): Promise<{ table: string; files: readonly ScratchFile[]; result: Row }> {
  const { change } = work
  if (!('table' in change)) throw new Error(`${change.is} is no change that is applied alone`)
  const table = tableOf(context.kind, change.table)
  const write = () => {
    if (change.is === 'update') return updateRows(context, table, change)
    if (change.is === 'delete') return deleteRows(context, table, change.where)
    if (change.is === 'import') return applyImport(context, table, change, work.onStep)
    throw new Error(`${change.is} is no change that is applied alone`)
  }
  const { files, counts } = await write()
  return { table: table.name, files, result: rowsWritten(table, counts) }
}

const withFiles = (tables: TableFiles, name: string, files: readonly ScratchFile[]): TableFiles =>
  new Map([...tables, [name, files]])
