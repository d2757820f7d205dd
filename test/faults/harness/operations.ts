import type { GoalsInput, ModelOf, Operation, Row } from './history.ts'

/** Uniform numbers in [0, 1). */
export type Random = () => number
export const pick = <T>(random: Random, of: readonly T[]): T => {
  const one = of[Math.floor(random() * of.length)]
  if (one === undefined) throw new Error('there is nothing to pick from')
  return one
}
export function shuffled<T>(of: readonly T[], random: Random): T[] {
  const left = [...of]
  return Array.from(of, () => left.splice(upTo(random, left.length - 1), 1)[0] as T)
}
export const upTo = (random: Random, most: number): number => Math.floor(random() * (most + 1))
export const chance = (random: Random, part: number): boolean => random() < part

const SITES = 12
/** Orders that are written again and again. */
const HOT = 40

/** What a client asks next of a model. `tag` stands in its rows, by which it is found again in the ledger. */
export function nextOperation(random: Random, model: ModelOf, tag: string): Operation {
  if (model.kind === 'goals') return { is: 'computeGoals', input: goalsInput(random, model) }
  const table = chance(random, 0.3) ? 'sites' : 'sales'
  const rows = (most: number) =>
    Array.from({ length: 1 + upTo(random, most - 1) }, (_, n) => rowOf(random, table, tag, n))
  const turn = random()
  if (turn < 0.45) return { is: 'append', table, rows: rows(3) }
  if (turn < 0.75) return { is: 'upsert', table, rows: rows(3) }
  const siteId = `S${upTo(random, SITES - 1)}`
  if (turn < 0.85)
    return { is: 'update', table, where: { siteId }, set: table === 'sites' ? { region: tag } : { customerId: tag } }
  if (turn < 0.9) return { is: 'delete', table, where: { siteId } }
  const mode = pick(random, ['APPEND', 'UPSERT', 'REPLACE'] as const)
  // A file may have a key twice; that it is refused then, appends show.
  const distinct = new Map(rows(30).map(row => [row.orderId ?? row.siteId, row]))
  return {
    is: 'import',
    table: 'sales',
    mode,
    rows: table === 'sales' ? [...distinct.values()] : [rowOf(random, 'sales', tag, 0)],
    isBad: chance(random, 0.15),
  }
}

/** Half of the keys are its own, the others those of everybody. */
function rowOf(random: Random, table: string, tag: string, n: number): Row {
  const siteId = `S${upTo(random, SITES - 1)}`
  if (table === 'sites')
    return {
      siteId: chance(random, 0.5) ? siteId : `${tag}-${n}`,
      name: `n${upTo(random, 9)}`,
      region: tag,
      country: null,
    }
  return {
    orderId: chance(random, 0.5) ? `H${upTo(random, HOT - 1)}` : `${tag}-${n}`,
    line: '1',
    date: `${2024 + upTo(random, 1)}-${String(1 + upTo(random, 11)).padStart(2, '0')}-17`,
    siteId,
    productId: `T${upTo(random, 3)}`,
    customerId: tag,
    salespersonId: null,
    quantity: `${1 + upTo(random, 8)}.0000`,
    amount: `${1 + upTo(random, 999)}.${String(upTo(random, 99)).padStart(2, '0')}00`,
  }
}

const goalsInput = (random: Random, model: ModelOf): GoalsInput => ({
  salesModel: `${model.reads}`,
  grain: pick(random, [['SITE'], ['PRODUCT'], ['SITE', 'PRODUCT'], []] as GoalsInput['grain'][]),
  interval: pick(random, ['MONTH', 'QUARTER', 'YEAR'] as const),
  method: pick(random, ['SAME_PERIOD_LAST_YEAR', 'BASIS_AVERAGE', 'LINEAR_TREND'] as const),
  total: chance(random, 0.5) ? `${1 + upTo(random, 100_000)}.${String(upTo(random, 99)).padStart(2, '0')}` : null,
})
