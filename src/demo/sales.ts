import { type Company, SEASONS } from './company.ts'
import { cumulate, type Random } from './random.ts'

/** One order line, as the kind `sales` takes it. */
export interface SaleRow {
  orderId: string
  line: number
  date: string
  siteId: string
  productId: string
  customerId: string
  salespersonId: string | null
  quantity: string
  amount: string
}

const DAY_MS = 86_400_000
/** Sunday first: cafés and shops order on working days. */
const WEEKDAYS = [0.15, 1.25, 1.1, 1.05, 1.1, 1.2, 0.45]

/**
 * About `rows` order lines over the days from `from` to before `to` (ISO dates), in the order of their dates: sizes,
 * weekdays, seasons of categories, growth of sites, large and small customers, now and then a lull or a rush.
 */
export function* makeSales(
  random: Random,
  company: Company,
  of: { rows: number; from: string; to: string; prefix: string },
): Generator<SaleRow> {
  const start = Date.parse(of.from)
  const days = Math.max(1, Math.round((Date.parse(of.to) - start) / DAY_MS))
  const demand = Array.from({ length: days }, (_, day) => {
    const date = new Date(start + day * DAY_MS)
    return (WEEKDAYS[date.getUTCDay()] ?? 1) * Math.exp(random.normal() * 0.12)
  })
  const perDemand = of.rows / demand.reduce((sum, weight) => sum + weight, 0)
  let order = 0
  let owed = 0
  for (const [day, weight] of demand.entries()) {
    const date = new Date(start + day * DAY_MS)
    const seller = new Day(random, company, date, day / 365)
    // Part of a line is carried over, so that few rows over many days still come to their number.
    for (owed += weight * perDemand; owed >= 1; ) {
      const lines = seller.order(
        `${of.prefix}${String(++order).padStart(7, '0')}`,
        Math.min(Math.floor(owed), random.integer(1, 6)),
      )
      yield* lines
      owed -= lines.length
    }
  }
}

/** What sells on one day. */
export class Day {
  readonly #random: Random
  readonly #company: Company
  readonly #date: string
  readonly #customers: readonly number[]
  readonly #products: readonly number[]

  /** `years`: how long the sites have grown by then. */
  constructor(random: Random, company: Company, date: Date, years: number) {
    this.#random = random
    this.#company = company
    this.#date = date.toISOString().slice(0, 10)
    const month = date.getUTCMonth() + date.getUTCDate() / 31
    this.#customers = cumulate(
      company.customers.map(({ size, site }) => size * (company.sites[site]?.growth ?? 1) ** years),
    )
    this.#products = cumulate(
      company.products.map(({ popularity, category }) => {
        const { peak, swing } = SEASONS[category]
        return popularity * (1 + swing * Math.cos(((month - peak) / 12) * 2 * Math.PI))
      }),
    )
  }

  /** One order of one customer, with as many lines. */
  order(orderId: string, lines: number): SaleRow[] {
    const random = this.#random
    const customer = this.#company.customers[random.weighted(this.#customers)]
    const site = this.#company.sites[customer?.site ?? 0]
    if (!customer || !site) return []
    const team = this.#company.salespersons.filter(({ siteId }) => siteId === site.siteId)
    // One order in twenty comes in by itself.
    const salesperson = random.next() < 0.05 ? undefined : team[random.integer(0, team.length)]
    // Large customers get a discount, and order more.
    const discount = Math.min(0.25, customer.size)
    return Array.from({ length: lines }, (_, index) => {
      const product = this.#company.products[random.weighted(this.#products)]
      const quantity = Math.max(1, Math.round(Math.exp(1.2 + random.normal() * 0.8 + Math.min(customer.size * 4, 1.5))))
      const amount = quantity * (product?.listPrice ?? 0) * (1 - discount)
      return {
        orderId,
        line: index + 1,
        date: this.#date,
        siteId: site.siteId,
        productId: product?.productId ?? '',
        customerId: customer.customerId,
        salespersonId: salesperson?.salespersonId ?? null,
        quantity: String(quantity),
        amount: amount.toFixed(2),
      }
    })
  }
}
