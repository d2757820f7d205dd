/** What goals can be divided by, in the order of the tables, and the column that holds it in sales, goals and actuals. */
export const DIMENSIONS = {
  SITE: 'siteId',
  PRODUCT: 'productId',
  CUSTOMER: 'customerId',
  SALESPERSON: 'salespersonId',
} as const
export type Dimension = keyof typeof DIMENSIONS
export type Grain = readonly Dimension[]

/** The columns of all dimensions, for a SELECT. */
export const ALL_DIMENSIONS = Object.values(DIMENSIONS).join(', ')

/** The order in which ties are settled, for an ORDER BY: DuckDB compares strings by their UTF-8 bytes. */
export const DIMENSION_ORDER = Object.values(DIMENSIONS)
  .map(column => `${column} NULLS FIRST`)
  .join(', ')

/** The columns of all dimensions, for a SELECT; null outside the grain. */
export const dimensionsAt = (grain: Grain): string =>
  Object.entries(DIMENSIONS)
    .map(([dimension, column]) => (grain.some(one => one === dimension) ? column : `NULL::VARCHAR AS ${column}`))
    .join(', ')

/** That two tables agree in all dimensions, for an ON or WHERE: nulls are equal, as they are in the key. */
export const sameDimensions = (left: string, right: string): string =>
  Object.values(DIMENSIONS)
    .map(column => `${left}.${column} IS NOT DISTINCT FROM ${right}.${column}`)
    .join(' AND ')

/** Whether both hold the same dimensions, in whatever order they were given. */
export const sameGrain = (a: Grain, b: Grain): boolean =>
  a.length === b.length && a.every(dimension => b.includes(dimension))
