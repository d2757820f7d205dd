import { setTimeout as rest } from 'node:timers/promises'
import { arg, defineFunction } from 'teatree'

const REST_MS = 100
const ROWS_A_CYCLE = 10_000_000

/**
 * Takes longer than it may, for time limits and aborts: at most a minute where nobody stops it. RESTING waits in
 * steps, SHAKING computes in one statement. It has written by then, and must leave nothing behind when it is stopped.
 */
export const incubate = defineFunction({
  description: 'Keeps an instrument running for a number of cycles.',
  arguments: {
    instrumentId: arg.varchar(),
    cycles: arg.integer({ default: 600 }),
    motion: arg.oneOf(
      {
        name: 'Motion',
        description: 'What the incubator does meanwhile.',
        values: { RESTING: 'It waits.', SHAKING: 'It computes.' },
      },
      { default: 'RESTING' },
    ),
  },
  result: { name: 'Incubated', description: 'What incubate did.', columns: { cycles: 'INTEGER', shaken: 'BIGINT' } },
  timeoutSeconds: 2,
  engines: {
    DUCKDB: async context => {
      const { instrumentId, motion } = context.args
      const cycles = Math.min(context.args.cycles, 600)
      await context.sql.run(
        'UPDATE instruments SET serviceHours = coalesce(serviceHours, 0) + $cycles WHERE instrumentId = $instrumentId',
        { instrumentId, cycles },
      )
      if (motion === 'SHAKING') {
        const [row] = await context.sql.all(
          'SELECT count(*) AS shaken FROM range(CAST($rows AS BIGINT)) AS shakes (shake) WHERE hash(shake) % 7 = 0',
          { rows: String(cycles * ROWS_A_CYCLE) },
        )
        return { cycles, shaken: String(row?.shaken) }
      }
      for (let cycle = 1; cycle <= cycles; cycle++) {
        await context.step(`cycle ${cycle}`, () => rest(REST_MS, undefined, { signal: context.signal }))
      }
      return { cycles, shaken: '0' }
    },
  },
})
