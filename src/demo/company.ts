import { cumulate, type Random } from './random.ts'

/** A made-up company: who sells what where. Ids are what the sales refer to. */
export interface Company {
  sites: readonly Site[]
  products: readonly Product[]
  customers: readonly Customer[]
  salespersons: readonly Salesperson[]
}
export interface Site {
  siteId: string
  name: string
  region: string
  country: string
  /** Its share of the sales, and how much a year changes it: 1.1 grows by a tenth. */
  size: number
  growth: number
}
export interface Product {
  productId: string
  name: string
  category: Category
  listPrice: number
  popularity: number
}
export interface Customer {
  customerId: string
  name: string
  size: number
  site: number
}
export interface Salesperson {
  salespersonId: string
  name: string
  siteId: string
}

/** When in the year a category sells: the month of its peak (0 to 11), and how far the peak rises above the mean. */
export const SEASONS = {
  'Black tea': { peak: 11, swing: 0.35 },
  'Green tea': { peak: 3, swing: 0.25 },
  Herbal: { peak: 0, swing: 0.45 },
  'Iced tea': { peak: 6, swing: 0.8 },
  Teaware: { peak: 11, swing: 0.6 },
} as const
export type Category = keyof typeof SEASONS

const SITES: readonly [name: string, region: string, country: string, size: number, growth: number][] = [
  ['Hamburg', 'North', 'Germany', 9, 1.06],
  ['Berlin', 'North', 'Germany', 7, 1.11],
  ['Munich', 'South', 'Germany', 8, 1.03],
  ['Zurich', 'Alps', 'Switzerland', 6, 1.02],
  ['Vienna', 'Alps', 'Austria', 5, 1.08],
  ['London', 'Isles', 'United Kingdom', 12, 0.97],
  ['Edinburgh', 'Isles', 'United Kingdom', 4, 1.04],
  ['Paris', 'West', 'France', 8, 1.05],
  ['Lyon', 'West', 'France', 3, 1.15],
  ['Amsterdam', 'West', 'Netherlands', 5, 1.01],
]
const GARDENS = [
  'Assam',
  'Ceylon',
  'Darjeeling',
  'Keemun',
  'Yunnan',
  'Sencha',
  'Matcha',
  'Oolong',
  'Rooibos',
  'Chai',
  'Mint',
  'Camomile',
]
const GRADES = ['Classic', 'Reserve', 'First Flush', 'Organic', 'Breakfast', 'Evening']
const WARE = ['Teapot', 'Infuser', 'Caddy', 'Kettle', 'Glass Set', 'Tray']
const FIRST = [
  'Ada',
  'Bram',
  'Chloé',
  'Dilan',
  'Esra',
  'Finn',
  'Greta',
  'Hugo',
  'Ines',
  'Jonas',
  'Kaya',
  'Luca',
  'Mina',
  'Noor',
  'Omar',
  'Pia',
]
const LAST = [
  'Albers',
  'Brandt',
  'Çelik',
  'Dubois',
  'Evans',
  'Fischer',
  'Gruber',
  'Huber',
  'Ivanova',
  'Jansen',
  'Keller',
  'Lefèvre',
]
const TRADES = ['Café', 'Grand Hotel', 'Delicatessen', 'Tea House', 'Market', 'Bistro', 'Grocers', 'Kiosk']

/** The company of a random source: always the same sites, the rest by chance. */
export function makeCompany(random: Random): Company {
  const sites = SITES.map(([name, region, country, size, growth], index) => ({
    siteId: `S${String(index + 1).padStart(2, '0')}`,
    name,
    region,
    country,
    size,
    growth,
  }))
  const bySize = cumulate(sites.map(({ size }) => size))
  return {
    sites,
    products: Array.from({ length: 72 }, (_, index) => makeProduct(random, index)),
    customers: Array.from({ length: 480 }, (_, index) => {
      const site = random.weighted(bySize)
      const name = `${pick(random, TRADES)} ${pick(random, LAST)} ${sites[site]?.name ?? ''}`
      // A few large customers and a long tail: sizes fall with the rank (Zipf), with some noise.
      return {
        customerId: `C${String(index + 1).padStart(4, '0')}`,
        name,
        size: (1 / (index + 3)) * Math.exp(random.normal() * 0.3),
        site,
      }
    }),
    salespersons: sites.flatMap(({ siteId, size }, site) =>
      Array.from({ length: 2 + Math.round(size / 4) }, (_, index) => ({
        salespersonId: `P${String(site + 1).padStart(2, '0')}${index + 1}`,
        name: `${pick(random, FIRST)} ${pick(random, LAST)}`,
        siteId,
      })),
    ),
  }
}

function makeProduct(random: Random, index: number): Product {
  const categories = Object.keys(SEASONS) as Category[]
  const category = categories[index % categories.length] as Category
  const name =
    category === 'Teaware'
      ? `${pick(random, GRADES)} ${pick(random, WARE)}`
      : `${pick(random, GARDENS)} ${pick(random, GRADES)}`
  const typical = category === 'Teaware' ? 35 : 11
  return {
    productId: `T${String(index + 1).padStart(3, '0')}`,
    name: `${name} No. ${index + 1}`,
    category,
    listPrice: Math.round(typical * Math.exp(random.normal() * 0.5) * 20) / 20,
    popularity: Math.exp(random.normal() * 0.9),
  }
}

const pick = (random: Random, from: readonly string[]): string => from[random.integer(0, from.length)] ?? ''
