import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ImportFormat } from '../../src/engine/files.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineKind } from '../../src/kinds/index.ts'
import { RESELLER_SALES } from '../support/adventureworks.ts'
import { ImportModel } from './import-model.ts'

const folder = process.env.TEATREE_TEST_DATA && `${process.env.TEATREE_TEST_DATA}/adventureworks`
const table = (
  row: string,
  key: string[],
  columns: Record<string, 'VARCHAR' | 'VARCHAR?' | 'INTEGER' | 'DATE' | 'DECIMAL(18,4)' | 'DECIMAL(18,4)?'>,
) => ({
  row,
  description: `A ${row}.`,
  key,
  columns,
  writes: ['import'] as const,
})
const sales = checkKind(
  defineKind({
    name: 'sales',
    description: 'Sales and their dimensions.',
    prefix: '',
    engines: ['DUCKDB'],
    tables: {
      sites: table('Site', ['siteId'], { siteId: 'VARCHAR', name: 'VARCHAR', region: 'VARCHAR?', country: 'VARCHAR?' }),
      products: table('Product', ['productId'], {
        productId: 'VARCHAR',
        name: 'VARCHAR',
        category: 'VARCHAR?',
        listPrice: 'DECIMAL(18,4)?',
      }),
      customers: table('Customer', ['customerId'], { customerId: 'VARCHAR', name: 'VARCHAR' }),
      salespersons: table('Salesperson', ['salespersonId'], {
        salespersonId: 'VARCHAR',
        name: 'VARCHAR',
        siteId: 'VARCHAR?',
      }),
      sales: table('Sale', ['orderId', 'line'], {
        orderId: 'VARCHAR',
        line: 'INTEGER',
        date: 'DATE',
        siteId: 'VARCHAR',
        productId: 'VARCHAR',
        customerId: 'VARCHAR',
        salespersonId: 'VARCHAR?',
        quantity: 'DECIMAL(18,4)',
        amount: 'DECIMAL(18,4)',
      }),
    },
  }),
)

describe.skipIf(!folder)('AdventureWorks', () => {
  let model: ImportModel
  beforeAll(async () => {
    model = await ImportModel.open(sales)
  })
  afterAll(() => model[Symbol.asyncDispose]())

  test.each<[string, string, ImportFormat, number, Record<string, string>]>([
    ['sites', 'territories.parquet', 'PARQUET', 11, { siteId: 'SalesTerritoryKey', name: 'SalesTerritoryRegion' }],
    [
      'products',
      'products.parquet',
      'PARQUET',
      606,
      { productId: 'ProductKey', name: 'EnglishProductName', listPrice: 'ListPrice' },
    ],
    ['customers', 'resellers.parquet', 'PARQUET', 701, { customerId: 'ResellerKey', name: 'ResellerName' }],
    [
      'salespersons',
      'salespersons.csv',
      'CSV',
      17,
      { salespersonId: 'EmployeeKey', name: 'FullName', siteId: 'SalesTerritoryKey' },
    ],
    ['sales', 'reseller-sales.parquet', 'PARQUET', 60_855, RESELLER_SALES],
  ])('%s from %s', async (name, file, format, rows, columns) => {
    const counts = await model.from(name, { is: 'file', path: join(folder ?? '', file), format, columns })
    expect(counts).toEqual({ inserted: rows, updated: 0, deleted: 0 })
  })

  test('to the last digit', async () => {
    const [total] = await model.sql.all(
      'SELECT sum(amount) AS amount, min(date) AS first, max(date) AS last FROM sales',
    )
    expect(total).toEqual({ amount: '80450596.9823', first: '2010-12-29', last: '2013-11-29' })
  })
})
