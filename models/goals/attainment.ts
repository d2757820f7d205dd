import { type QueryAnswer, type QueryContext, refuse } from 'teatree'
import { ALL_DIMENSIONS, DIMENSIONS, dimensionsAt, type Grain } from './dimensions.ts'
import { beginning, type Interval, isBorder, MONTHS, type Period } from './intervals.ts'
import { type Plan, plansDuring, readPlans } from './runs.ts'

export interface Attainment {
  readonly from: string | null
  readonly to: string | null
  readonly by: Grain | null
  readonly interval: Interval | null
}

/** Refuses what no data could make right. */
export function checkAttainment({ from, to, by, interval }: Attainment): void {
  if (from !== null) refuseInside('from', from, interval ?? 'MONTH')
  if (to !== null) refuseInside('to', to, interval ?? 'MONTH')
  if (from !== null && to !== null) refuseEmpty({ from, to })
  if (by && new Set(by).size < by.length) refuse('by', 'names a dimension twice; name each once')
}

/** Before the first run there is no goal period, and nothing to look for. */
const ALWAYS: Period = { from: '0001-01-01', to: '9999-12-01' }

/** The full outer join of goals and actuals, as one sum over the rows of both: nulls are equal in it, as in the keys. */
export async function attainment({ args, sql, table }: QueryContext<Attainment>): Promise<QueryAnswer> {
  const { from, to, salesVersion } = asked(args, await readPlans(sql, table('runs')))

  const amounts = (goalAmount: string, actualAmount: string, source: string) => `
    SELECT ${args.interval ? `date_trunc('${args.interval}', period)::DATE` : 'NULL::DATE'} AS period,
      ${dimensionsAt(args.by ?? [])}, ${goalAmount} AS goalAmount, ${actualAmount} AS actualAmount
    FROM ${source} WHERE period >= $from::DATE AND period < $to::DATE`
  // whoever asks for one row gets it, also where there are no cells
  const always = args.interval || args.by?.length ? '' : 'UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, 0, 0'
  return {
    select: `
      SELECT *, CASE WHEN goalAmount <> 0 THEN actualAmount::DOUBLE / goalAmount::DOUBLE END AS ratio
      FROM (
        SELECT period, ${ALL_DIMENSIONS}, sum(goalAmount)::DECIMAL(38,2) AS goalAmount,
          sum(actualAmount)::DECIMAL(38,4) AS actualAmount
        FROM (
          ${amounts('goalAmount', '0', table('goals'))} UNION ALL ${amounts('0', 'amount', table('actuals'))} ${always}
        )
        GROUP BY period, ${ALL_DIMENSIONS}
      )`,
    params: { from, to },
    orderBy: ['period', ...Object.values(DIMENSIONS)],
    page: { salesVersion },
  }
}

/** What is looked at, and the version of the sales that it is from. @throws TeatreeError BAD_VALUE */
export function asked(args: Attainment, plans: readonly Plan[]): Period & { salesVersion: number | null } {
  const period = plans[0]?.goalPeriod ?? ALWAYS
  const from = args.from ?? period.from
  const to = args.to ?? period.to
  refuseEmpty({ from, to })
  const found = plansDuring(plans, { from, to })
  refuseFiner(args, found, { from, to })
  return { from, to, salesVersion: commonVersion(found) }
}

/** Refuses to divide cells: they are at the grain and the intervals that they were computed at. */
function refuseFiner({ by, interval }: Attainment, found: readonly (Plan | undefined)[], { from, to }: Period): void {
  for (const plan of found) {
    if (!plan) continue
    const outside = by?.find(dimension => !plan.grain.includes(dimension))
    if (outside) refuse('by', `the goals are not divided by ${outside}; their grain is [${plan.grain.join(', ')}]`)
    if (interval && MONTHS[interval] < MONTHS[plan.interval]) {
      refuse('interval', `the goals are kept by ${plan.interval}; a ${interval} is finer`)
    }
  }
  refuseInside('from', from, found.at(0)?.interval ?? 'MONTH')
  refuseInside('to', to, found.at(-1)?.interval ?? 'MONTH')
}

/** The version of the sales that all the actuals are from; null where there are none, or they are from several. */
function commonVersion(found: readonly (Plan | undefined)[]): number | null {
  const sources = found.flatMap(plan => (plan ? [plan] : []))
  const [first] = sources
  const same = ({ salesModel, salesVersion }: Plan) =>
    salesModel === first?.salesModel && salesVersion === first.salesVersion
  return first && sources.every(same) ? first.salesVersion : null
}

function refuseInside(path: string, date: string, interval: Interval): void {
  if (isBorder(date, interval)) return
  refuse(path, `${date} lies inside a ${interval}, which begins with ${beginning(date, interval)}`)
}

function refuseEmpty({ from, to }: Period): void {
  if (from >= to) refuse('from', `${from} is not before to ${to}; to is the first day after the period`)
}
