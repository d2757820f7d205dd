import { arg, defineFunction, defineKind, defineQuery } from 'teatree'
import { drawnOrders } from './lab/drawn-orders.ts'
import { incubate } from './lab/incubate.ts'
import { orderedSamples } from './lab/ordered-samples.ts'
import { outsideLimits } from './lab/outside-limits.ts'
import { recordDeliveries } from './lab/record-deliveries.ts'
import { runTrial } from './lab/run-trial.ts'
import { tables } from './lab/tables.ts'

const flagReadings = defineFunction({
  description: 'Marks readings below a limit as invalid.',
  arguments: {
    below: arg.decimal(18, 6),
    assays: arg.optional(arg.list(arg.varchar(), { description: 'All where left out.' })),
    note: arg.varchar({ default: 'below the limit' }),
  },
  result: {
    name: 'ReadingsFlagged',
    description: 'What flagReadings did.',
    columns: { flagged: 'BIGINT', invalid: 'BIGINT', lowest: 'DECIMAL(18,6)?' },
  },
  engines: { DUCKDB: { sql: new URL('./lab/flag-readings.sql', import.meta.url) } },
})

const dailyReadings = defineQuery({
  description: 'The readings of each day and assay.',
  arguments: {
    from: arg.optional(arg.date({ description: 'The first day.' })),
    to: arg.optional(arg.date({ description: 'The first day after.' })),
  },
  row: {
    name: 'DailyReadings',
    description: 'The readings of one assay on one day.',
    columns: { day: 'DATE', assay: 'VARCHAR', readings: 'BIGINT', total: 'DECIMAL(38,6)', lastAt: 'TIMESTAMP' },
  },
  engines: {
    DUCKDB: { sql: new URL('./lab/daily-readings.sql', import.meta.url), orderBy: ['day', 'assay'] },
  },
})

/** A laboratory: instruments take readings of samples by protocols. */
export default defineKind({
  name: 'lab',
  description: 'Samples, the instruments and protocols they are measured with, and the readings.',
  engines: ['DUCKDB', 'ARROW'],
  tables,
  functions: { recordDeliveries, flagReadings, runTrial, incubate },
  queries: { dailyReadings, outsideLimits, orderedSamples, drawnOrders },
})
