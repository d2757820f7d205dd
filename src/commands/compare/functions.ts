import type { Kind, KindFunction } from '../../kinds/kind.ts'
import { coerceArguments } from '../../kinds/validate.ts'
import { UsageError } from '../../platform/errors.ts'

/** The id that the model of sales has for the goals. */
export const SALES_MODEL = 'sales'

/** What each function is called with, where nobody says otherwise: the second year of the data gets its goals from the first. */
const ARGUMENTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  computeGoals: {
    salesModel: SALES_MODEL,
    basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
    goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
    interval: 'MONTH',
    grain: ['SITE', 'PRODUCT', 'CUSTOMER', 'SALESPERSON'],
    growth: '0.05',
  },
  adjustGoals: { where: { siteId: { eq: 'S01' } }, total: '1000000.00' },
  lockGoals: { where: { siteId: { eq: 'S01' } }, locked: true },
  refreshActuals: {},
}

/** What has to have been done for it. */
const FIRST = 'computeGoals'

/** A function, and its arguments as its implementation gets them. */
export interface FunctionCalled {
  name: string
  arguments: Readonly<Record<string, unknown>>
}

/**
 * What is called, in this order, for the function to be compared: itself at the end.
 * @param given JSON of an object, whose fields take the place of those that it is called with otherwise
 * @throws UsageError, TeatreeError BAD_VALUE that names the argument
 */
export function callsFor(kind: Kind, name: string, given: string | undefined): FunctionCalled[] {
  const spec = kind.functions.get(name)
  if (!spec || !ARGUMENTS[name]) {
    const known = Object.keys(ARGUMENTS).join(', ')
    throw new UsageError(`--function takes a function of ${kind.name}, which has ${known}; not ${name}`)
  }
  const call = called(kind, spec, given === undefined ? {} : objectOf(given))
  const first = kind.functions.get(FIRST)
  return name === FIRST || !first ? [call] : [called(kind, first, {}), call]
}

const called = (kind: Kind, spec: KindFunction, given: Record<string, unknown>): FunctionCalled => ({
  name: spec.name,
  arguments: coerceArguments(kind, spec, { ...ARGUMENTS[spec.name], ...given }),
})

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Told below, as what is JSON and no object.
  }
  throw new UsageError(`--arguments takes a JSON object, like {"interval": "QUARTER"}; not ${text}`)
}
