import { arg, defineQuery } from 'teatree'

/** A query that reads another model, at the version that it is told. */
export const orderedSamples = defineQuery({
  description: 'The samples that a sales model has orders for.',
  arguments: {
    orders: arg.model('sales', { version: 'ordersVersion' }),
    ordersVersion: arg.integer({ description: 'Of the sales model.' }),
  },
  row: {
    name: 'OrderedSample',
    description: 'A sample, and how many lines order it.',
    columns: { sampleId: 'VARCHAR', lines: 'BIGINT' },
  },
  page: { ordersVersion: 'INTEGER' },
  engines: {
    DUCKDB: async ({ reads, table }) => {
      const [orders] = reads
      if (!orders) throw new Error('there are no orders')
      return {
        select: `SELECT sampleId, count(*) AS lines FROM ${table('samples')} AS s
                 JOIN ${orders.table('sales')} AS o ON o.productId = s.sampleId GROUP BY sampleId`,
        params: {},
        orderBy: ['sampleId'],
        page: { ordersVersion: orders.version },
      }
    },
    ARROW: async ({ pl, reads: [orders], table }) => {
      if (!orders) throw new Error('there are no orders')
      const samples = await table('samples', ['sampleId'])
      const sales = await orders.table('sales', ['productId'])
      const ordered = samples.join(sales, { leftOn: 'sampleId', rightOn: 'productId', how: 'inner' })
      return {
        frame: ordered.groupBy('sampleId').agg(pl.len().cast(pl.Int64).alias('lines')),
        orderBy: ['sampleId'],
        page: { ordersVersion: orders.version },
      }
    },
  },
})
