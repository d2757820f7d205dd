import { arg, defineFunction, TeatreeError } from 'teatree'

/** Takes an argument of every sort, and writes before it knows that it may: what it refuses must leave nothing behind. */
export const runTrial = defineFunction({
  description: 'Draws readings for a trial and notes what was asked.',
  arguments: {
    title: arg.varchar(),
    replicates: arg.integer({ default: 1 }),
    budget: arg.bigint(),
    tolerance: arg.decimal(12, 6, { default: '0.05' }),
    weight: arg.double({ default: 1 }),
    blind: arg.boolean({ default: false }),
    firstDay: arg.date(),
    plannedFor: arg.optional(arg.timestamp()),
    priority: arg.oneOf(
      {
        name: 'Priority',
        description: 'How soon.',
        values: { ROUTINE: 'When there is time.', URGENT: 'Before what is routine.' },
      },
      { default: 'ROUTINE' },
    ),
    window: arg.object({
      name: 'TrialWindow',
      description: 'from is the first day, to the first day after.',
      fields: { from: arg.date(), to: arg.date(), reason: arg.optional(arg.varchar()) },
    }),
    assays: arg.list(arg.varchar()),
    where: arg.where('readings', { description: 'The readings to draw from.' }),
    orders: arg.optional(arg.model('sales', { version: 'ordersVersion' })),
    ordersVersion: arg.optional(arg.integer({ description: 'The newest where left out.' })),
  },
  result: {
    name: 'TrialRun',
    description: 'What runTrial drew.',
    columns: { readings: 'BIGINT', draw: 'DOUBLE', orders: 'BIGINT?', startedAt: 'TIMESTAMP' },
  },
  errors: { NO_READINGS: 'No reading in the window is of the assays and selected by where.' },
  check: ({ window, replicates }) => {
    if (window.from >= window.to) throw new TeatreeError('BAD_VALUE', 'window.to: must be after window.from')
    if (replicates < 1) throw new TeatreeError('BAD_VALUE', 'replicates: must be at least 1')
  },
  engines: {
    DUCKDB: async context => {
      const { args, sql, intentId, now } = context
      const { window, assays, where, orders: _, ordersVersion: __, ...scalars } = args
      await context.step('note the trial', () =>
        sql.run(
          `INSERT INTO trials (trialId, title, startedAt, plannedFor, firstDay, priority, replicates, budget,
                               tolerance, weight, blind, windowFrom, windowTo)
           VALUES ($intentId, $title, CAST($now AS TIMESTAMP), CAST($plannedFor AS TIMESTAMP), CAST($firstDay AS DATE),
                   $priority, $replicates, CAST($budget AS BIGINT), CAST($tolerance AS DECIMAL(12, 6)), $weight, $blind,
                   CAST($from AS DATE), CAST($to AS DATE))`,
          { ...scalars, intentId, now, from: window.from, to: window.to },
        ),
      )
      const filter = context.where('readings', where)
      const [found] = await context.step('draw readings', () =>
        sql.all(
          `SELECT count(*) AS readings FROM readings
           WHERE ${filter.text} AND takenOn >= CAST($from AS DATE) AND takenOn < CAST($to AS DATE)
             AND list_contains(CAST($assays AS VARCHAR[]), assay)`,
          { ...filter.params, assays, from: window.from, to: window.to },
        ),
      )
      const readings = String(found?.readings)
      if (readings === '0') throw new TeatreeError('NO_READINGS', `No reading of ${assays.join(', ')} is selected.`)
      const source = context.reads.find(({ alias }) => alias === 'orders')
      const [sold] = source ? await sql.all(`SELECT count(*) AS orders FROM ${source.table('sales')}`) : []
      const orders = sold?.orders ?? null
      const draw = context.random()
      await context.step('note the draw', () =>
        sql.run(
          `UPDATE trials SET readings = CAST($readings AS BIGINT), draw = $draw, orders = CAST($orders AS BIGINT),
                             ordersVersion = CAST($version AS INTEGER)
           WHERE trialId = $intentId`,
          { intentId, readings, draw, orders, version: source?.version ?? null },
        ),
      )
      return { readings, draw, orders, startedAt: now }
    },
  },
})
