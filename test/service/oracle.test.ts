import { randomInt } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AggregatePlan, ALL, type DiffPlan, type RowsPlan } from '../../src/engine/plan.ts'
import type { Row } from '../../src/kinds/types.ts'
import { aggregateOf } from '../engine/reader-aggregate-plans.ts'
import { orchard, type TableRowsByName } from '../engine/reader-model.ts'
import { Oracle } from '../engine/reader-oracle.ts'
import { contents, filterOn, orderOf, tableOf } from '../engine/reader-plans.ts'
import type { Answer } from '../support/http-server.ts'
import { LONGER } from '../support/longer.ts'
import {
  aggregateArguments,
  askable,
  askableAggregate,
  canonical,
  groupNode,
  keyOf,
  literal,
  measureSelection,
  orderByOf,
  whereOf,
} from './oracle-graphql.ts'
import { type OracleModel, openOracleModels } from './oracle-model.ts'

/**
 * Whatever is asked over GraphQL is answered as a plain evaluation in JavaScript answers it (test/engine/reader-oracle.ts,
 * which knows no SQL): random data, written by mutations and read back over HTTP by random plans, each page by page to
 * its end. TEATREE_TEST_LONGER says how many times as many, TEATREE_TEST_ORACLE_SEED which.
 */
const RUNS = 60 * LONGER
const SEED = Number(process.env.TEATREE_TEST_ORACLE_SEED) || randomInt(1, 2 ** 31)
const PLANS = { rows: 24, aggregates: 20, diffs: 3 }
/** So long at most; what was checked by then is told. However slow the machine is, fewer than so many are no check. */
const TIME_MS = 6_000 * LONGER
const LEAST_PLANS = 300

const harvests = tableOf('harvests')
/** A walk has a few pages, seldom many. */
const size = fc.oneof(
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 3, arbitrary: fc.integer({ min: 5, max: 26 }) },
)
const where = filterOn(harvests).map(filter => askable(harvests, filter))

interface RowsQuestion {
  plan: RowsPlan
  references: boolean
  counted: boolean
  /** Whether `where` stands in the document itself. */
  isLiteral: boolean
  /** Between which of the rows' cursors a page is cut, too. */
  between: [number, number]
}
const rowsQuestions: fc.Arbitrary<RowsQuestion> = fc.record({
  plan: fc
    .record({
      where,
      orderBy: orderOf(harvests),
      columns: fc.subarray([...harvests.columns.keys()]),
      limit: size,
      last: fc.boolean(),
    })
    .map((plan): RowsPlan => ({ ...plan, table: 'harvests' })),
  references: fc.boolean(),
  counted: fc.boolean(),
  isLiteral: fc.boolean(),
  between: fc.tuple(fc.nat(12), fc.nat(12)),
})
const aggregateQuestions = fc
  .record({ plan: aggregateOf(harvests), limit: size })
  .map(({ plan, limit }) => askableAggregate(harvests, { ...plan, limit }))
const diffQuestions: fc.Arbitrary<DiffPlan> = fc.record({
  table: fc.constant('harvests'),
  where: fc.oneof(fc.constant(ALL), where),
  columns: fc.subarray([...harvests.columns.keys()]),
  limit: size,
})

const ENGINES = ['DUCKDB', 'ARROW'] as const

/** A version, a later one that shares most of its rows, and what is asked of them. */
const runs = fc.record({
  engine: fc.constantFrom(...ENGINES),
  rows: contents(orchard, 25),
  more: contents(orchard, 10),
  choices: fc.array(fc.nat(4), { minLength: 25, maxLength: 25 }),
  asksLater: fc.boolean(),
  rowsQuestions: fc.array(rowsQuestions, { minLength: PLANS.rows, maxLength: PLANS.rows }),
  aggregates: fc.array(aggregateQuestions, { minLength: PLANS.aggregates, maxLength: PLANS.aggregates }),
  diffs: fc.array(diffQuestions, { minLength: PLANS.diffs, maxLength: PLANS.diffs }),
})

function later(rows: TableRowsByName, more: TableRowsByName, choices: readonly number[]): TableRowsByName {
  const kept = (rows.harvests ?? []).flatMap((row, index): Row[] => {
    const choice = choices[index % choices.length]
    return choice === 0 ? [] : choice === 1 ? [{ ...row, note: 'changed', boxes: 3 }] : [row]
  })
  const keys = new Set(kept.map(row => JSON.stringify(keyOf(harvests, row))))
  const added = (more.harvests ?? []).filter(row => !keys.has(JSON.stringify(keyOf(harvests, row))))
  return { ...rows, harvests: [...kept, ...added] }
}

let models: Awaited<ReturnType<typeof openOracleModels>>
beforeAll(async () => {
  models = await openOracleModels(ENGINES)
})
afterAll(() => models[Symbol.asyncDispose]())

test(`thousands of random plans are answered as a plain evaluation answers them (seed ${SEED})`, {
  timeout: TIME_MS + 120_000,
}, async () => {
  const asked = { versions: 0, plans: 0, DUCKDB: 0, ARROW: 0 }
  const until = performance.now() + TIME_MS
  await fc.assert(
    fc.asyncProperty(runs, async run => {
      if (asked.plans >= LEAST_PLANS && performance.now() > until) return
      const model = models.of(run.engine)
      const first = await model.fill(run.rows)
      const newer = later(run.rows, run.more, run.choices)
      const isSame = (run.rows.harvests ?? []).length + (newer.harvests ?? []).length === 0
      const second = isSame ? first : await model.change(run.rows.harvests ?? [], newer.harvests ?? [])
      const older = { model, version: first, rows: run.rows, oracle: new Oracle(orchard, run.rows) }
      const newest = { model, version: second, rows: newer, oracle: new Oracle(orchard, newer) }
      const asks = [
        ...run.rowsQuestions.map(plan => named(plan, () => checkRows(run.asksLater ? newest : older, plan))),
        ...run.aggregates.map(plan => named(plan, () => checkGroups(run.asksLater ? newest : older, plan))),
        ...run.diffs.map(plan => named(plan, () => checkDiff(older, newest, plan))),
      ]
      // Some at a time, as several people ask.
      for (let next = 0; next < asks.length; next += 6) await Promise.all(asks.slice(next, next + 6).map(ask => ask()))
      asked.versions += 1
      asked.plans += asks.length
      asked[run.engine] += 1
    }),
    { seed: SEED, numRuns: RUNS, endOnFailure: true },
  )
  process.stdout.write(
    `oracle: ${asked.plans} plans over ${asked.versions} pairs of versions, ${asked.ARROW} of them on Arrow, seed ${SEED}\n`,
  )
  expect(asked.plans).toBeGreaterThanOrEqual(LEAST_PLANS)
})

/** What is smaller would be found by asking all of it again, many times over: the plan itself says enough. */
const named = (plan: unknown, check: () => Promise<void>) => () =>
  check().catch(cause => {
    throw new Error(`${cause instanceof Error ? cause.message : cause}\nplan: ${JSON.stringify(plan)}`, { cause })
  })

interface Version {
  model: OracleModel
  version: number
  rows: TableRowsByName
  oracle: Oracle
}

const PAGE_INFO = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'
const REFERENCES = 'plot { field part area grower { growerId region } } grower { region since }'

async function checkRows({ model, version, rows, oracle }: Version, question: RowsQuestion): Promise<void> {
  const { plan, references, counted, isLiteral, between } = question
  const { table, columns, limit, last } = plan
  const expected = oracle
    .rows({ ...plan, columns: [...harvests.columns.keys()], limit: 1_000 })
    .map(row => rowNode(rows, columns, row, references))
  const selection = ['__typename', ...columns, ...(references ? [REFERENCES] : [])].join(' ')
  const filter = isLiteral ? literal(whereOf(plan.where)) : '$where'
  const types = `${isLiteral ? '' : ', $where: OrchardHarvestWhere'}, $orderBy: [OrchardHarvestOrder!], $first: Int, $after: String, $last: Int, $before: String`
  const read = async (page: Record<string, unknown>) => {
    const field = `${table}(where: ${filter}, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { ${selection} } } nodes { ${selection} } ${PAGE_INFO} ${counted ? 'totalCount' : ''} }`
    const variables = {
      orderBy: orderByOf(harvests, plan.orderBy),
      ...page,
      ...(!isLiteral && { where: whereOf(plan.where) }),
    }
    const found = (await model.ask(version, field, types, variables))[table]
    if (counted) expect(found.totalCount).toBe(String(expected.length))
    return found
  }
  const cursors = last ? await walkBack(read, expected, limit) : await walk(read, expected, limit)

  const [from, to] = between.map(index => Math.min(index, cursors.length - 1)).sort((a, b) => a - b) as [number, number]
  if (from < 0) return
  const cut = await read({ [last ? 'last' : 'first']: limit, after: cursors[from], before: cursors[to] })
  const inside = expected.slice(from + 1, to)
  expect(nodesOf(cut)).toEqual(last ? inside.slice(-limit) : inside.slice(0, limit))
  expect(cut.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: true })
}

async function checkGroups({ model, version, rows, oracle }: Version, plan: AggregatePlan): Promise<void> {
  const all = oracle.aggregate({ ...plan, limit: 1_000 })
  const isWhole = (column: string) => plan.groups.some(group => group.column === column && !group.bucket)
  const asksGrower = isWhole('growerId')
  const expected = all.map(row => {
    const node = groupNode(plan, row)
    const group = node.group as Row
    return asksGrower ? { ...node, group: { ...group, grower: growerOf(rows, group.growerId ?? null) } } : node
  })
  const columns = ['__typename', ...plan.groups.map(({ column }) => column)].join(' ')
  const selection = `group { ${columns} ${asksGrower ? 'grower { region since }' : ''} } ${measureSelection(plan.measures)}`
  const counted = plan.limit % 2 === 0
  const types =
    ', $where: OrchardHarvestWhere, $groupBy: [OrchardHarvestGroupBy!], $having: [OrchardHarvestHaving!], $orderBy: [OrchardHarvestAggregateOrder!], $first: Int, $after: String'
  const read = async (page: Record<string, unknown>) => {
    const field = `harvestsAggregate(where: $where, groupBy: $groupBy, having: $having, orderBy: $orderBy, first: $first, after: $after) {
      edges { cursor node { ${selection} } } nodes { ${selection} } ${PAGE_INFO} ${counted ? 'totalCount' : ''} }`
    const found = (await model.ask(version, field, types, { ...aggregateArguments(plan), ...page })).harvestsAggregate
    if (counted) expect(found.totalCount).toBe(String(expected.length))
    return found
  }
  const isCounted = plan.measures.some(({ is }) => is === 'count')
  await walk(read, expected, plan.limit, node => {
    const { count, ...rest } = node
    return isCounted ? node : rest
  })
}

async function checkDiff(older: Version, newer: Version, plan: DiffPlan): Promise<void> {
  const columns = ['__typename', ...plan.columns].join(' ')
  const selection = `change before { ${columns} grower { region since } } after { ${columns} grower { region since } }`
  const all = { ...plan, columns: [...harvests.columns.keys()] }
  const side = ({ rows }: Version, row: Row | null) =>
    row && { ...pick(row, plan.columns), grower: growerOf(rows, row.growerId ?? null) }
  const expected = newer.oracle
    .diff(older.oracle, all)
    .map(({ change, before, after }) => ({ change, before: side(older, before), after: side(newer, after) }))
  const types = ', $from: SnapshotAt!, $where: OrchardHarvestWhere, $first: Int, $after: String'
  const read = async (page: Record<string, unknown>) => {
    const field = `harvestsDiff(from: $from, where: $where, first: $first, after: $after) { edges { cursor node { ${selection} } } nodes { ${selection} } ${PAGE_INFO} }`
    const variables = { from: { version: older.version }, where: whereOf(plan.where), ...page }
    return (await newer.model.ask(newer.version, field, types, variables)).harvestsDiff
  }
  await walk(read, expected, plan.limit)
}

type Read = (page: Record<string, unknown>) => Promise<Answer>

/** All pages from the start, each as it should be; the cursors of what is on them. */
async function walk(read: Read, expected: readonly unknown[], limit: number, shown = (node: Answer) => node) {
  const cursors: string[] = []
  for (let from = 0, after: string | null = null; ; from += limit) {
    const page: Answer = await read({ first: limit, after })
    expect(nodesOf(page).map(shown)).toEqual(expected.slice(from, from + limit))
    cursors.push(...cursorsOf(page))
    expect(page.pageInfo).toMatchObject({ hasPreviousPage: from > 0, hasNextPage: from + limit < expected.length })
    if (!page.pageInfo.hasNextPage) return cursors
    after = page.pageInfo.endCursor
  }
}

/** The same from the end. */
async function walkBack(read: Read, expected: readonly unknown[], limit: number) {
  const cursors: string[] = []
  for (let to = expected.length, before: string | null = null; ; to -= limit) {
    const page: Answer = await read({ last: limit, before })
    const from = Math.max(0, to - limit)
    expect(nodesOf(page)).toEqual(expected.slice(from, to))
    cursors.unshift(...cursorsOf(page))
    expect(page.pageInfo).toMatchObject({ hasPreviousPage: from > 0, hasNextPage: to < expected.length })
    if (!page.pageInfo.hasPreviousPage) return cursors
    before = page.pageInfo.startCursor
  }
}

function nodesOf({ nodes, edges }: Answer): Answer[] {
  expect(edges.map(({ node }: Answer) => node)).toEqual(nodes)
  return canonical(withoutTypes(nodes)) as Answer[]
}

function cursorsOf({ edges, pageInfo }: Answer): string[] {
  const cursors = edges.map(({ cursor }: Answer) => cursor)
  expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([cursors.at(0) ?? null, cursors.at(-1) ?? null])
  return cursors
}

function withoutTypes(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(withoutTypes)
  if (typeof answer !== 'object' || answer === null) return answer
  return Object.fromEntries(
    Object.entries(answer).flatMap(([name, value]) => (name === '__typename' ? [] : [[name, withoutTypes(value)]])),
  )
}

function rowNode(rows: TableRowsByName, columns: readonly string[], row: Row, references: boolean) {
  if (!references) return pick(row, columns)
  const plot = (rows.plots ?? []).find(({ field, part }) => field === row.field && part === (row.part ?? null))
  const grower = plot && (rows.growers ?? []).find(({ growerId }) => growerId === plot.growerId)
  return {
    ...pick(row, columns),
    plot: plot
      ? { ...pick(plot, ['field', 'part', 'area']), grower: grower ? pick(grower, ['growerId', 'region']) : null }
      : null,
    grower: growerOf(rows, row.growerId ?? null),
  }
}

function growerOf(rows: TableRowsByName, id: unknown) {
  const found = (rows.growers ?? []).find(({ growerId }) => growerId === id)
  return found ? pick(found, ['region', 'since']) : null
}

const pick = (row: Row, columns: readonly string[]) =>
  Object.fromEntries(columns.map(name => [name, row[name] ?? null]))
