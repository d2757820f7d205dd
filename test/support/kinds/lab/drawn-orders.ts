import { arg, defineQuery } from 'teatree'

/** A query that reads another model, and takes as long as it is asked to. */
export const drawnOrders = defineQuery({
  description: 'How often the orders of a sales model are drawn.',
  arguments: {
    orders: arg.model('sales', { version: 'ordersVersion' }),
    ordersVersion: arg.integer({ description: 'Of the sales model.' }),
    draws: arg.bigint({ description: 'From each order.' }),
  },
  row: {
    name: 'DrawnOrder',
    description: 'An order, and how often it was drawn.',
    columns: { orderId: 'VARCHAR', drawn: 'BIGINT' },
  },
  engines: {
    DUCKDB: async ({ reads, args }) => ({
      select: `SELECT orderId, count(*) FILTER (hash(orderId, draw) % 7 = 1) AS drawn
               FROM ${reads[0]?.table('sales')}, range($draws::BIGINT) AS draws (draw) GROUP BY orderId`,
      params: { draws: args.draws },
      orderBy: ['orderId'],
    }),
  },
})
