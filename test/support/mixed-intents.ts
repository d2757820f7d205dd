import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Answer, TestPlatform } from './platform.ts'
import { query } from './postgres.ts'
import { sale } from './sales-model.ts'

/** Mutations in one request. */
const AT_ONCE = 25
const AGAIN_MS = 20

/**
 * Submits so many intents, or a few more, to a sales model, by several clients at once: appends, each of an order of its own; some
 * that fail; some, one at least, that are cancelled; query runs between them. What was not answered is asked for again, by
 * its key, until it is.
 */
export async function submitMixed(
  url: () => string,
  model: string,
  { count, clients, name }: { count: number; clients: number; name: string },
): Promise<void> {
  const ask = (text: string, variables: object) => askUntilAnswered(url, text, variables)
  let begun = 0
  let cancelled = 0
  /** Appends so many, and cancels the last, which most of the time still waits for those before it. */
  const append = async (size: number) => {
    const numbers = Array.from({ length: size }, () => begun++)
    const of = numbers.map(n => appendOf(name, n))
    const rows = Object.fromEntries(of.map(({ variable, rows }) => [variable, rows]))
    const types = of.map(({ variable, type }) => `$${variable}: ${type}`)
    const fields = of.map(({ field }) => field)
    const data = await ask(`mutation ($model: ID!, ${types}) { ${fields.join(' ')} }`, { model, ...rows })
    const { id } = data[`m${numbers.at(-1)}`]
    const answer = await ask('mutation ($id: ID!) { cancelIntent(id: $id) { id } }', { id })
    if (answer?.cancelIntent) cancelled += 1
  }
  const client = async () => {
    while (begun < count) {
      const key = `${name}-${begun}`
      const isTurn = begun % 250 === 0
      await append(Math.min(AT_ONCE, count - begun))
      if (!isTurn) continue
      const input = { model, query: { sql: { statement: 'SELECT 1 AS one' } } }
      await ask(`mutation ($input: StartQueryInput!) { startQuery(input: $input, idempotencyKey: "${key}") { id } }`, {
        input,
      })
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  while (cancelled === 0) await append(1)
}

/** A hundredth of them is of a key that is taken. */
function appendOf(name: string, n: number) {
  const variable = `rows${n}`
  const [table, type, row] =
    n % 100 === 7
      ? ['Sites', 'SiteInput', { siteId: 'TAKEN', name: 'x' }]
      : ['Sales', 'SaleInput', sale({ orderId: `${name}-${n}` })]
  return {
    variable,
    type: `[${type}!]!`,
    rows: [row],
    field: `m${n}: append${table}(model: $model, rows: $${variable}, idempotencyKey: "${name}-${n}") { id }`,
  }
}

/** Data; INTENT_STARTED is an answer too. */
async function askUntilAnswered(url: () => string, text: string, variables: object): Promise<Answer> {
  for (;;) {
    try {
      const response = await fetch(`${url()}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: text, variables }),
      })
      const { data, errors } = (await response.json()) as { data?: Answer; errors?: Answer[] }
      const code = errors?.[0]?.extensions?.code
      if (!errors || code === 'INTENT_STARTED') return data
      if (code !== 'UNAVAILABLE') throw new RangeError(JSON.stringify(errors))
    } catch (error) {
      if (error instanceof RangeError) throw error
    }
    await wait(AGAIN_MS)
  }
}

/** The ids of what has ended, in order, as the control database has them, once nothing of the model is under way. */
export async function wholeLog({ databaseUrl }: Pick<TestPlatform, 'databaseUrl'>, model: string): Promise<string[]> {
  const underWay = async () => {
    const [row] = await query<{ count: string }>(
      databaseUrl,
      `SELECT (SELECT count(*) FROM intent WHERE model = '${model}' AND ended_at IS NULL)
            + (SELECT count(*) FROM query_run WHERE model = '${model}' AND ended_at IS NULL) AS count`,
    )
    return Number(row?.count)
  }
  await expect.poll(underWay, { timeout: 120_000, interval: 50 }).toBe(0)
  const log = await query<{ id: string }>(
    databaseUrl,
    `SELECT coalesce(intent, query_run) AS id FROM completion WHERE model = '${model}' ORDER BY position`,
  )
  return log.map(({ id }) => id)
}

/** How the model's intents ended, and how many query runs did. */
export async function endings(
  { databaseUrl }: Pick<TestPlatform, 'databaseUrl'>,
  model: string,
): Promise<Record<string, number>> {
  const rows = await query<{ status: string; count: number }>(
    databaseUrl,
    `SELECT status, count(*)::integer FROM intent WHERE model = '${model}' GROUP BY status
      UNION ALL SELECT 'QUERY_RUN', count(*)::integer FROM query_run WHERE model = '${model}'`,
  )
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
}
