import { setTimeout as wait } from 'node:timers/promises'
import type { Answer } from '../../support/platform.ts'
import type { ClientDeps } from './client.ts'
import type { ModelOf, Read, Row, Tables } from './history.ts'
import { chance, pick, upTo } from './operations.ts'
import { ask } from './requests.ts'

/** Columns of the tables that are read, by kind. */
const TABLES: Readonly<Record<ModelOf['kind'], Readonly<Record<string, readonly string[]>>>> = {
  sales: {
    sites: ['siteId', 'name', 'region', 'country'],
    sales: ['orderId', 'line', 'date', 'siteId', 'productId', 'customerId', 'salespersonId', 'quantity', 'amount'],
  },
  goals: {
    goals: ['period', 'siteId', 'productId', 'customerId', 'salespersonId', 'basisAmount', 'goalAmount', 'locked'],
    actuals: ['period', 'siteId', 'productId', 'customerId', 'salespersonId', 'amount'],
    runs: ['intentId', 'function', 'salesVersion'],
  },
}
export const columnsOf = (kind: ModelOf['kind'], table: string): readonly string[] | undefined => TABLES[kind][table]

const MOST_ROWS = 1000
const PAGE = 50

/** Reads until it is told to stop: the newest version, versions at an intent, and sales page by page. */
export async function runReader(deps: ClientDeps): Promise<void> {
  const { random, recorder, signal } = deps
  while (!signal.aborted) {
    const model = pick(random, recorder.models)
    const accepted = recorder.accepted(model.id).slice(-20)
    const turn = random()
    if (turn < 0.35 && accepted.length > 0) {
      const { id, seq } = pick(random, accepted)
      await read(deps, model, { intent: id, seq })
    } else if (turn < 0.5 && model.kind === 'sales') await walk(deps, model)
    else await read(deps, model, { newest: true })
    await wait(upTo(random, 150), undefined, { signal }).catch(() => {})
  }
}

/** Reads all rows of a version, and notes down what was seen. */
export async function read(deps: ClientDeps, model: ModelOf, asked: Read['asked']): Promise<Read> {
  const { name: client, recorder } = deps
  const at = recorder.now()
  const fields = Object.entries(TABLES[model.kind]).map(
    ([table, columns]) => `${table}(first: ${MOST_ROWS}) { nodes { ${columns.join(' ')} } pageInfo { hasNextPage } }`,
  )
  const text = `query ($id: ID!, $at: SnapshotAt) { model: ${model.kind}Model(id: $id) {
    snapshot(at: $at, waitMs: ${chance(deps.random, 0.5) ? 0 : 2000}) { version ${fields.join(' ')} } } }`
  const { data, code } = await ask(pick(deps.random, deps.urls()), text, { id: model.id, at: atOf(asked) })
  const snapshot = code === null ? data?.model?.snapshot : null
  const found: Read = {
    client,
    model: model.id,
    at,
    until: recorder.now(),
    asked,
    version: snapshot?.version ?? null,
    code,
    content: snapshot ? contentOf(deps, model, snapshot) : null,
  }
  recorder.reads.push(found)
  return found
}

const atOf = (asked: Read['asked']) =>
  'newest' in asked ? null : 'intent' in asked ? { intent: asked.intent } : { version: asked.version }

function contentOf({ recorder }: ClientDeps, { kind }: ModelOf, snapshot: Answer): string | null {
  const names = Object.keys(TABLES[kind])
  if (names.some(name => snapshot[name].pageInfo.hasNextPage)) return null
  return recorder.keep(Object.fromEntries(names.map(name => [name, snapshot[name].nodes.map(rowOf)])))
}

const rowOf = (node: Answer): Row =>
  Object.fromEntries(Object.entries(node).map(([name, value]) => [name, value === null ? null : String(value)]))

/** Walks through the sales of the newest version, page by page, on whichever server. */
async function walk(deps: ClientDeps, model: ModelOf): Promise<void> {
  const { name: client, random, recorder, urls, signal } = deps
  const at = recorder.now()
  const columns = TABLES.sales.sales?.join(' ')
  const text = `query ($id: ID!, $at: SnapshotAt, $after: String) { model: salesModel(id: $id) { snapshot(at: $at) {
    version sales(first: ${PAGE}, after: $after) { nodes { ${columns} } pageInfo { hasNextPage endCursor } } } } }`
  const rows: Row[] = []
  const pages: number[] = []
  let after: string | null = null
  for (;;) {
    const [version] = pages
    const variables = { id: model.id, at: version === undefined ? null : { version }, after }
    const { data, code } = await ask(pick(random, urls()), text, variables)
    const snapshot = code === null ? data?.model?.snapshot : null
    if (!snapshot) {
      // Also a version that was let go meanwhile: how long it is kept for paging has a bound.
      const isAway = code === 'UNAVAILABLE' || code === 'LOST'
      if (isAway && version !== undefined && !signal.aborted) {
        await wait(100)
        continue
      }
      return
    }
    pages.push(snapshot.version)
    rows.push(...snapshot.sales.nodes.map(rowOf))
    if (!snapshot.sales.pageInfo.hasNextPage) break
    after = snapshot.sales.pageInfo.endCursor
  }
  const tables: Tables = { sales: rows }
  const [version = 0] = pages
  // Not the newest any more, as it ends.
  const asked = { version }
  recorder.reads.push({
    client,
    model: model.id,
    at,
    until: recorder.now(),
    asked,
    version,
    code: null,
    content: recorder.keep(tables),
    pages,
  })
}
