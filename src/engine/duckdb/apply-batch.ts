import type { Kind, Kinds } from '../../kinds/kind.ts'
import { placesOf, singly, type Unit, unitsOf } from '../batch-units.ts'
import type { Work, WorkOutcome } from '../engine.ts'
import { onAllCores } from './all-cores.ts'
import { applyUnit, sourcesOf, type UnitContext } from './apply-unit.ts'
import { withAttached } from './attached-models.ts'
import type { ModelConnection, ModelDatabase } from './database.ts'
import { faultOf, refusalOf } from './errors.ts'
import { readableSources } from './hydrated-sources.ts'
import { PART_OF_BATCH, type State, stateStatement } from './state.ts'
import { lateTransaction, transaction } from './transaction.ts'

export interface BatchContext extends Omit<UnitContext, 'models' | 'begin'> {
  db: ModelDatabase
  kinds: Kinds
  /** Is told what clients only learn the id of. */
  onInternal(id: string, error: unknown): void
}

/**
 * Applies a batch, in as few transactions as there can be: one, unless it has functions, imports or copies in it, or
 * something fails that had begun to write. DuckDB has no savepoints:
 *
 *   BEGIN  a  b  c ✗  ROLLBACK  BEGIN  a  b  COMMIT  (c: refused)  BEGIN  d  e  state  COMMIT
 *
 * The last transaction leaves the database at `state`; those before it mark it as being in the midst of a batch.
 * @throws what is a fault of the surroundings, and the signal's reason
 */
export async function applyBatch(
  context: BatchContext,
  batch: readonly Work[],
  state: Pick<State, 'version' | 'lastSeq'>,
): Promise<WorkOutcome[]> {
  const { sql } = context.db
  const outcomes = new Map<number, WorkOutcome>()

  /** Whether it has left the database at `state`. */
  const apply = async (units: readonly Unit[], isLast: boolean): Promise<boolean> => {
    let under: Unit | undefined = units[0]
    try {
      using db = await connectionFor(units, context.db)
      await using sources = await readableSources(units.flatMap(sourcesOf), context)
      await withAttached(db.sql, sources.refs, context.kinds, models => {
        const work = async (begin: () => Promise<void>) => {
          for (const unit of units) {
            under = unit
            const found = await applyUnit({ ...context, db, models, begin }, unit)
            for (const [index, place] of placesOf(unit).entries()) setOutcome(outcomes, place, found[index])
          }
          under = undefined
        }
        const last = stateStatement(isLast ? state : { version: PART_OF_BATCH })
        const applied = () => lateTransaction(db.sql, work, last)
        return units.some(unit => isLong(unit, context.kind)) ? onAllCores(db.sql, applied) : applied()
      })
      return isLast
    } catch (error) {
      if (under === undefined || context.signal.aborted || faultOf(error) === 'surroundings') throw error
      const at = units.indexOf(under)
      if (at > 0) await apply(units.slice(0, at), false)
      const intents = singly(under)
      if (intents.length > 1) await apply(intents, false)
      else for (const place of placesOf(under)) outcomes.set(place, refused(error, context))
      return at + 1 < units.length ? apply(units.slice(at + 1), isLast) : false
    }
  }

  let isStated = false
  const transactions = unitsOf(batch)
  for (const [index, units] of transactions.entries()) isStated = await apply(units, index === transactions.length - 1)
  if (!isStated) await transaction(sql, async () => {}, stateStatement(state))
  return batch.map((_, place) => setOutcome(outcomes, place, outcomes.get(place)))
}

/** A function has a connection of its own, with which its TEMP tables go. */
async function connectionFor(units: readonly Unit[], db: ModelDatabase): Promise<ModelConnection & Disposable> {
  if (!units.some(unit => isFunction(unit))) return { ...db, [Symbol.dispose]: () => {} }
  const own = await db.another()
  return { ...own, [Symbol.dispose]: () => own.close() }
}

/** What follows each version of another model is not: it leaves the other cores to those who make and read them. */
function isLong(unit: Unit, { functions }: Kind): boolean {
  if (unit.is !== 'single') return false
  const { change } = unit.work
  return change.is === 'import' || (change.is === 'function' && !functions.get(change.name)?.runsOn)
}

const isFunction = (unit: Unit): boolean => unit.is === 'single' && unit.work.change.is === 'function'

const refused = (error: unknown, { onInternal }: BatchContext): WorkOutcome => ({
  ok: false,
  error: refusalOf(error, onInternal),
})

function setOutcome(outcomes: Map<number, WorkOutcome>, place: number, outcome: WorkOutcome | undefined): WorkOutcome {
  if (!outcome) throw new Error(`the intent at place ${place} of the batch has no outcome`)
  outcomes.set(place, outcome)
  return outcome
}
