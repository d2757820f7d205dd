import { arg, defineQuery, TeatreeError } from 'teatree'

/** A query in TypeScript: it looks something up first, and says it beside the rows, the same on every page. */
export const outsideLimits = defineQuery({
  description: 'The readings of a protocol that lie outside its limits.',
  arguments: {
    assay: arg.varchar(),
    revision: arg.integer({ default: 1 }),
    tolerance: arg.decimal(12, 6, { default: '0', description: 'How far outside is still inside.' }),
  },
  row: {
    name: 'OutsideReading',
    description: 'A reading, and how far it is from the nearer limit.',
    columns: { sampleId: 'VARCHAR', replicate: 'INTEGER?', amount: 'DECIMAL(18,6)', excess: 'DECIMAL(18,6)' },
  },
  page: { lowerLimit: 'DECIMAL(12,6)?', upperLimit: 'DECIMAL(12,6)?', readings: 'BIGINT' },
  errors: { NO_PROTOCOL: 'There is no protocol of that assay and revision.' },
  check: ({ tolerance }) => {
    if (tolerance.startsWith('-')) throw new TeatreeError('BAD_VALUE', 'tolerance: must not be below 0')
  },
  engines: {
    DUCKDB: async ({ args, sql, table }) => {
      const { assay, revision, tolerance } = args
      const [protocol] = await sql.all(
        `SELECT lowerLimit, upperLimit, (SELECT count(*) FROM ${table('readings')} AS r
                                         WHERE r.assay = p.assay AND r.revision = p.revision) AS readings
         FROM ${table('protocols')} AS p WHERE assay = $assay AND revision = $revision`,
        { assay, revision },
      )
      if (!protocol) throw new TeatreeError('NO_PROTOCOL', `There is no revision ${revision} of ${assay}.`)
      const { lowerLimit = null, upperLimit = null, readings = null } = protocol
      const select = `SELECT sampleId, replicate, amount, CAST(excess AS DECIMAL(18, 6)) AS excess
        FROM (SELECT sampleId, replicate, amount,
                     greatest(CAST($lower AS DECIMAL(12, 6)) - amount, amount - CAST($upper AS DECIMAL(12, 6))) AS excess
              FROM ${table('readings')} WHERE assay = $assay AND revision = $revision)
        WHERE excess > CAST($tolerance AS DECIMAL(12, 6))`
      return {
        select,
        params: { assay, revision, tolerance, lower: lowerLimit, upper: upperLimit },
        orderBy: ['sampleId', 'replicate'],
        page: { lowerLimit, upperLimit, readings },
      }
    },
    ARROW: async ({ args, pl, table, rows, frame }) => {
      const { assay, revision, tolerance } = args
      const mine = pl
        .col('assay')
        .eq(pl.lit(assay))
        .and(pl.col('revision').eq(pl.lit(revision)))
      const protocols = await table('protocols', ['assay', 'revision', 'lowerLimit', 'upperLimit'])
      const readings = (await table('readings', ['assay', 'revision', 'sampleId', 'replicate', 'amount'])).filter(mine)
      const [protocol] = await rows(protocols.filter(mine))
      if (!protocol) throw new TeatreeError('NO_PROTOCOL', `There is no revision ${revision} of ${assay}.`)
      const { lowerLimit = null, upperLimit = null } = protocol
      const [counted] = await rows(readings.select(pl.len().cast(pl.Int64).alias('readings')))
      const limits = frame(
        { assay: 'VARCHAR', lower: 'DECIMAL(18,6)', upper: 'DECIMAL(18,6)', tolerance: 'DECIMAL(18,6)' },
        [{ assay, lower: lowerLimit, upper: upperLimit, tolerance }],
      )
      const [below, above] = [pl.col('lower').sub(pl.col('amount')), pl.col('amount').sub(pl.col('upper'))]
      const outside = readings
        .join(limits, { on: 'assay', how: 'inner' })
        .withColumns(pl.maxHorizontal([below, above]).alias('excess'))
        .filter(pl.col('excess').gt(pl.col('tolerance')))
      return {
        frame: outside,
        orderBy: ['sampleId', 'replicate'],
        page: { lowerLimit, upperLimit, readings: counted?.readings ?? null },
      }
    },
  },
})
