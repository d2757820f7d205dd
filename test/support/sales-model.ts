import type { Answer, TestPlatform } from './platform.ts'

/** Whoever answers GraphQL: a platform, or the API in this process. */
type Answering = Pick<TestPlatform, 'graphql'>

/** Makes a model and answers with its id. */
export async function createModel(platform: Answering, input: Record<string, unknown>): Promise<string> {
  const data = await platform.graphql('mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }', {
    input,
  })
  return data.createModel.id
}

export interface SaleValues {
  orderId: string
  line?: number
  date?: string
  siteId?: string
  productId?: string
  customerId?: string
  salespersonId?: string | null
  quantity?: string
  amount?: string
}

/** A sale with believable values for what is not said. */
export const sale = (values: SaleValues) => ({
  line: 1,
  date: '2024-05-17',
  siteId: 'S1',
  productId: 'T1',
  customerId: 'C1',
  salespersonId: 'P1',
  quantity: '2',
  amount: '19.90',
  ...values,
})

const INTENT = 'id seq function status version result error { code message cells { row line column message } }'

/** Appends sales and waits until the intent has ended. */
export async function appendSales(
  platform: Answering,
  model: string,
  rows: readonly SaleValues[],
  options: { idempotencyKey?: string } = {},
): Promise<Answer> {
  const data = await platform.graphql(
    `mutation ($model: ID!, $rows: [SaleInput!]!, $idempotencyKey: String) {
       appendSales(model: $model, rows: $rows, idempotencyKey: $idempotencyKey, waitMs: 30000) { ${INTENT} } }`,
    { model, rows: rows.map(sale), ...options },
  )
  return data.appendSales
}

/** Imports an upload into a table of the kind `sales` and waits until the intent has ended. `table` as in `importSales`. */
export async function importTable(
  platform: Answering,
  model: string,
  table: string,
  upload: string,
  options: { columns?: Record<string, string>; mode?: string } = {},
): Promise<Answer> {
  const columns = options.columns && Object.entries(options.columns).map(([column, from]) => ({ column, from }))
  const data = await platform.graphql(
    `mutation ($model: ID!, $source: ImportSource!, $mode: ImportMode) {
       intent: import${table}(model: $model, source: $source, mode: $mode, waitMs: 60000) { ${INTENT} } }`,
    { model, mode: options.mode ?? 'APPEND', source: { upload: { id: upload, ...(columns ? { columns } : {}) } } },
  )
  return data.intent
}

/** Computes goals for 2025 from sales of 2024 and waits; `input` overrides. */
export async function computeGoals(
  platform: Answering,
  model: string,
  input: Record<string, unknown>,
): Promise<Answer> {
  const data = await platform.graphql(
    `mutation ($model: ID!, $input: ComputeGoalsInput!) {
       computeGoals(model: $model, input: $input, waitMs: 60000) { ${INTENT} outcome { ... on GoalsComputed { cells total salesVersion } } } }`,
    {
      model,
      input: {
        basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
        goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
        grain: ['SITE'],
        ...input,
      },
    },
  )
  return data.computeGoals
}
