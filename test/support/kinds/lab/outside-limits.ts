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
  },
})
