import type { History, LedgerRow, ModelOf, Operation, Tables } from '../history.ts'
import { GoalsModel, type SalesRead } from './goals-model.ts'
import { type Outcome, SalesModel } from './sales-model.ts'

/** What the single-threaded model makes of the ledger of one model. */
export interface Replayed {
  /** Of each intent that the ledger says was applied, by its id: what it should have come to. */
  outcomes: ReadonlyMap<string, Outcome>
  /** The rows of a version; undefined for one that never was. */
  at(version: number): Tables | undefined
  /** Why it could not be gone through to its end. */
  broken: string | null
}

/** Goes through the ledgers of all models, sales first: goals read them. */
export function replayAll(history: History): ReadonlyMap<string, Replayed> {
  const operations = new Map(history.calls.map(({ tag, operation }) => [tag, operation]))
  const replayed = new Map<string, Replayed>()
  for (const kind of ['sales', 'goals'] as const)
    for (const model of history.models)
      if (model.kind === kind) replayed.set(model.id, replay(history, model, operations, replayed))
  return replayed
}

function replay(
  { end }: History,
  model: ModelOf,
  operations: ReadonlyMap<string, Operation>,
  others: ReadonlyMap<string, Replayed>,
): Replayed {
  const rows = end.ledger.filter(row => row.model === model.id).sort((a, b) => a.seq - b.seq)
  const versions = end.versions.filter(row => row.model === model.id).sort((a, b) => a.version - b.version)
  const state = model.kind === 'sales' ? new SalesModel() : new GoalsModel()
  const outcomes = new Map<string, Outcome>()
  const states = new Map<number, Tables>()
  let broken: string | null = null
  let next = 0
  for (const { version, lastSeq } of versions) {
    for (let row = rows[next]; row && row.seq <= lastSeq; row = rows[++next]) {
      if (!wasApplied(row)) continue
      try {
        outcomes.set(row.id, apply(state, row, operations, others))
      } catch (error) {
        broken ??= `seq ${row.seq}: ${error instanceof Error ? error.message : error}`
      }
    }
    states.set(version, state.tables)
  }
  // Intents of which all failed make no version.
  for (const row of rows.slice(next))
    if (wasApplied(row) && !broken) outcomes.set(row.id, apply(state, row, operations, others))
  return { outcomes, at: version => states.get(version), broken }
}

/** What was cancelled or set aside was not. */
const wasApplied = ({ status }: LedgerRow): boolean => status === 'PUBLISHED' || status === 'FAILED'

function apply(
  state: SalesModel | GoalsModel,
  row: LedgerRow,
  operations: ReadonlyMap<string, Operation>,
  others: ReadonlyMap<string, Replayed>,
): Outcome {
  const operation = row.tag === null ? null : operations.get(row.tag)
  if (state instanceof SalesModel) {
    if (!operation) throw new Error(`nobody asked for ${row.function}`)
    return state.apply(operation)
  }
  if (operation?.is === 'computeGoals') return state.compute(row.id, operation.input, salesRead(row, others))
  if (operation || row.function !== 'refreshActuals') throw new Error(`nobody asked for ${row.function}`)
  return state.refresh(row.id, salesRead(row, others))
}

function salesRead({ reads }: LedgerRow, others: ReadonlyMap<string, Replayed>): SalesRead {
  const [read] = reads
  if (!read) throw new Error('it is not written down what it read')
  const tables = others.get(read.model)?.at(read.version)
  if (!tables) throw new Error(`it read version ${read.version} of ${read.model}, which never was`)
  return { ...read, sales: tables.sales ?? [] }
}
