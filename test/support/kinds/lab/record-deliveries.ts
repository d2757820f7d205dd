import { defineFunction } from 'teatree'

/** Runs by itself: notes the version of each sales model that this one reads, and how many rows it holds. */
export const recordDeliveries = defineFunction({
  description: 'Notes which versions of its sales models have arrived.',
  arguments: {},
  result: {
    name: 'DeliveriesRecorded',
    description: 'What recordDeliveries saw.',
    columns: { models: 'INTEGER', orders: 'BIGINT' },
  },
  runsOn: 'sales',
  engines: {
    DUCKDB: async context => {
      let orders = 0n
      for (const source of context.reads) {
        const [counted] = await context.sql.all(`SELECT count(*) AS orders FROM ${source.table('sales')}`)
        const count = String(counted?.orders)
        await context.sql.run(
          `DELETE FROM deliveries WHERE salesModel = $model AND salesVersion = $version;
           INSERT INTO deliveries (salesModel, salesVersion, orders, arrivedAt)
           VALUES ($model, $version, CAST($count AS BIGINT), CAST($now AS TIMESTAMP))`,
          { model: source.model, version: source.version, count, now: context.now },
        )
        orders += BigInt(count)
      }
      return { models: context.reads.length, orders: String(orders) }
    },
  },
})
