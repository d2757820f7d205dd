/** The columns of the table `sales`, and what they are called in AdventureWorks' resellers' sales. */
export const RESELLER_SALES = {
  orderId: 'SalesOrderNumber',
  line: 'SalesOrderLineNumber',
  date: 'OrderDate',
  siteId: 'SalesTerritoryKey',
  productId: 'ProductKey',
  customerId: 'ResellerKey',
  salespersonId: 'EmployeeKey',
  quantity: 'OrderQuantity',
  amount: 'SalesAmount',
}
