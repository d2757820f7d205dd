import { defineKind } from 'teatree'

const CLIENTS = ['append', 'upsert', 'update', 'delete', 'import'] as const

/** Sales, line by line, and what they refer to. Facts may come before their dimensions: no reference is enforced. */
export default defineKind({
  name: 'sales',
  description: 'Sales by site, product, customer and salesperson.',
  prefix: '',
  engines: ['DUCKDB', 'ARROW'],
  tables: {
    sites: {
      row: 'Site',
      description: 'Where is sold: shops, branches, sales territories.',
      columns: {
        siteId: { type: 'VARCHAR', description: 'Tells the site from all others.' },
        name: { type: 'VARCHAR', description: 'What people call it.' },
        region: { type: 'VARCHAR?', description: 'The part of the country, or of the world, that it lies in.' },
        country: { type: 'VARCHAR?', description: 'The country that it lies in.' },
      },
      key: ['siteId'],
      writes: CLIENTS,
    },
    products: {
      row: 'Product',
      description: 'What is sold.',
      columns: {
        productId: { type: 'VARCHAR', description: 'Tells the product from all others.' },
        name: { type: 'VARCHAR', description: 'What people call it.' },
        category: { type: 'VARCHAR?', description: 'The group of products that it belongs to.' },
        listPrice: { type: 'DECIMAL(18,4)?', description: 'The price of one, before any discount.' },
      },
      key: ['productId'],
      writes: CLIENTS,
    },
    customers: {
      row: 'Customer',
      description: 'Who buys.',
      columns: {
        customerId: { type: 'VARCHAR', description: 'Tells the customer from all others.' },
        name: { type: 'VARCHAR', description: 'What people call them.' },
      },
      key: ['customerId'],
      writes: CLIENTS,
    },
    salespersons: {
      row: 'Salesperson',
      description: 'Who sells.',
      columns: {
        salespersonId: { type: 'VARCHAR', description: 'Tells the salesperson from all others.' },
        name: { type: 'VARCHAR', description: 'What people call them.' },
        siteId: { type: 'VARCHAR?', description: 'The site that they work for, where there is one.' },
      },
      key: ['salespersonId'],
      references: [{ columns: ['siteId'], table: 'sites', as: 'site', description: 'The site that they work for.' }],
      writes: CLIENTS,
    },
    sales: {
      row: 'Sale',
      description: 'One line of an order: so much of one product, sold on one day.',
      columns: {
        orderId: { type: 'VARCHAR', description: 'The order that the line belongs to.' },
        line: { type: 'INTEGER', description: 'Its number within the order.' },
        date: { type: 'DATE', description: 'The day that it counts for.' },
        siteId: { type: 'VARCHAR', description: 'Where it was sold.' },
        productId: { type: 'VARCHAR', description: 'What was sold.' },
        customerId: { type: 'VARCHAR', description: 'Who bought.' },
        salespersonId: { type: 'VARCHAR?', description: 'Who sold; null where nobody in person did.' },
        quantity: { type: 'DECIMAL(18,4)', description: 'How much was sold; negative for what came back.' },
        amount: { type: 'DECIMAL(18,4)', description: 'For how much, in all; negative for what came back.' },
      },
      key: ['orderId', 'line'],
      references: [
        { columns: ['siteId'], table: 'sites', as: 'site', description: 'Where it was sold.' },
        { columns: ['productId'], table: 'products', as: 'product', description: 'What was sold.' },
        { columns: ['customerId'], table: 'customers', as: 'customer', description: 'Who bought.' },
        { columns: ['salespersonId'], table: 'salespersons', as: 'salesperson', description: 'Who sold.' },
      ],
      writes: CLIENTS,
    },
  },
})
