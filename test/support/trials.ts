import { ALL } from '../../src/engine/plan.ts'
import type { Intent } from '../../src/jobs/records.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import { comesTrue } from './comes-true.ts'
import type { Managed } from './managed.ts'

/** What tests do to models of the kind `trial`: entries of which each has an id, and intents of which each writes some. */
export interface Trials {
  newModel(reads?: string[], engine?: EngineName): Promise<string>
  append(model: string, ...entries: string[]): Promise<Intent>
  /** A function that has written when its step is `waiting`, and ends when there is a file at `until`. */
  linger(model: string, until: string): Promise<Intent>
  crash(model: string): Promise<Intent>
  /** A function that never comes back to its manager's event loop. */
  spin(model: string): Promise<Intent>
  /** Ids of the entries at the newest version, ascending. */
  entries(model: string): Promise<unknown[]>
  /** Waits for a condition, and fails where it does not come. */
  until(model: string, look: () => Promise<boolean>): Promise<void>
  /** Waits until the function is at its step. */
  untilWaiting(intent: Intent): Promise<void>
}

const WAIT_MS = 90_000

export function trialsOn(managed: Managed): Trials {
  const { ledger, models, snapshots, submitter } = managed
  const submit = (model: string, fn: string, args: Record<string, unknown> = {}) =>
    submitter.submit({ model, function: fn, arguments: args })
  const until: Trials['until'] = async (model, look) => {
    if (!(await comesTrue(look, WAIT_MS))) throw new Error(`model ${model} did not come to ${look}`)
  }
  return {
    newModel: async (reads = [], engine = 'DUCKDB') => (await models.create({ kind: 'trial', engine, reads })).id,
    append: (model, ...entries) =>
      submit(model, 'appendTrialEntries', { rows: entries.map(entryId => ({ entryId, note: null })) }),
    linger: (model, path) => submit(model, 'trialLinger', { until: path }),
    crash: model => submit(model, 'trialCrash'),
    spin: model => submit(model, 'trialSpin'),
    async entries(model) {
      const snapshot = await snapshots.acquire(model, null, 0)
      try {
        const orderBy = [{ column: 'entryId', direction: 'ASC', nulls: 'LAST' } as const]
        const plan = { table: 'entries', columns: ['entryId'], where: ALL, orderBy, limit: 10_000 }
        return (await snapshot.reader.rows(plan)).map(({ entryId }) => entryId)
      } finally {
        snapshot.release()
      }
    },
    until,
    untilWaiting: ({ id, model }) => until(model, async () => (await ledger.intent(id))?.step === 'waiting'),
  }
}
