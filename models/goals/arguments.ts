import { arg } from 'teatree'

export const GOAL_DIMENSION = {
  name: 'GoalDimension',
  description: 'What goals can be divided by.',
  values: {
    SITE: 'By siteId.',
    PRODUCT: 'By productId.',
    CUSTOMER: 'By customerId.',
    SALESPERSON: 'By salespersonId; sales of nobody in person are a part of their own.',
  },
} as const

export const GOAL_INTERVAL = {
  name: 'GoalInterval',
  description: 'How long a time one goal is for.',
  values: {
    MONTH: 'A month of the calendar.',
    QUARTER: 'Three months, from the first of January, April, July or October.',
    YEAR: 'A year of the calendar.',
  },
} as const

export const GOAL_METHOD = {
  name: 'GoalMethod',
  description: 'How sales are forecast from the basis period into the goal period.',
  values: {
    SAME_PERIOD_LAST_YEAR: 'The same interval one year before, times 1 + growth.',
    BASIS_AVERAGE: "The mean of the basis period's intervals, times 1 + growth.",
    LINEAR_TREND:
      "A least-squares line through the basis period's intervals, drawn on into the goal period and never below 0, times 1 + growth.",
  },
} as const

export const SPREAD_METHOD = {
  name: 'SpreadMethod',
  description: 'How a total is shared out among cells.',
  values: {
    PROPORTIONAL: 'In proportion to what each has.',
    EVEN: 'The same to each.',
  },
} as const

/** An argument that is a period of whole days. */
export const dateRange = (description: string) => ({
  ...arg.object({
    name: 'DateRange',
    description: 'from is the first day, to the first day after.',
    fields: {
      from: arg.date({ description: 'The first day.' }),
      to: arg.date({ description: 'The first day after.' }),
    },
  }),
  description,
})
