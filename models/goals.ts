import { arg, defineFunction, defineKind, defineQuery } from 'teatree'
import { refreshActuals } from './goals/actuals.ts'
import { adjustGoals, checkAdjustGoals } from './goals/adjust.ts'
import { dateRange, GOAL_DIMENSION, GOAL_INTERVAL, GOAL_METHOD, SPREAD_METHOD } from './goals/arguments.ts'
import * as onArrow from './goals/arrow/index.ts'
import { attainment, checkAttainment } from './goals/attainment.ts'
import { checkComputeGoals, computeGoals } from './goals/compute.ts'
import { lockGoals } from './goals/locks.ts'

/** What a cell of goals and one of actuals are known by. */
const cell = {
  period: { type: 'DATE', description: 'The first day of the interval.' },
  siteId: { type: 'VARCHAR?', description: 'Null outside the grain.' },
  productId: { type: 'VARCHAR?', description: 'Null outside the grain.' },
  customerId: { type: 'VARCHAR?', description: 'Null outside the grain.' },
  salespersonId: { type: 'VARCHAR?', description: 'Null outside the grain, and for sales of nobody in person.' },
} as const

const cellKey = ['period', 'siteId', 'productId', 'customerId', 'salespersonId'] as const

const LOCKED = {
  compute:
    'Locked goals in the goal period are of another grain or interval, or alone exceed the total, or leave no unlocked goal to meet it.',
  adjust: 'No unlocked goal is there to take up the difference, or one would fall below 0.',
}

/** Goals for the sales of a period to come, computed from those of a period gone by, and what is sold against them. */
export default defineKind({
  name: 'goals',
  description:
    'Goals computed for a goal period from the basis period of a sales model, and the actual sales beside them.',
  prefix: '',
  engines: ['DUCKDB', 'ARROW'],

  tables: {
    goals: {
      row: 'Goal',
      description:
        'One cell: an interval at the grain that the goals were computed at. Dimensions outside the grain are null.',
      columns: {
        ...cell,
        basisAmount: { type: 'DECIMAL(18,4)', description: 'The forecast, before growth and total.' },
        goalAmount: { type: 'DECIMAL(18,2)', description: 'What is to be sold.' },
        locked: { type: 'BOOLEAN', description: 'Whether it keeps its amount, whatever is computed and adjusted.' },
      },
      key: cellKey,
      writes: [],
    },
    actuals: {
      row: 'Actual',
      description: 'What was sold, in the cells of the goals. A cell without sales is left out.',
      columns: { ...cell, amount: { type: 'DECIMAL(18,4)', description: 'The sum of the sales.' } },
      key: cellKey,
      writes: [],
    },
    runs: {
      row: 'Run',
      description:
        'How the goals came about: every run of a function that changed them, and the last refresh of the actuals.',
      columns: {
        intentId: { type: 'VARCHAR', description: 'The intent that it was.' },
        at: { type: 'TIMESTAMP', description: 'When it was asked for. Runs are in the order of it.' },
        function: { type: 'VARCHAR', description: 'computeGoals, adjustGoals, lockGoals or refreshActuals.' },
        salesModel: { type: 'VARCHAR?', description: 'The sales model that it read.' },
        salesVersion: { type: 'INTEGER?', description: 'The version of it.' },
        arguments: { type: 'VARCHAR', description: 'What it was given, as JSON.' },
        cells: { type: 'BIGINT', description: 'How many cells it dealt with.' },
        total: { type: 'DECIMAL(18,2)?', description: 'What these goals add up to, where it set them.' },
      },
      key: ['intentId'],
      writes: [],
    },
  },

  functions: {
    computeGoals: defineFunction({
      description:
        'Computes the goals of the goal period from the sales of the basis period, and replaces those that are there but for locked ones.',
      arguments: {
        salesModel: arg.model('sales', {
          version: 'salesVersion',
          description: "A model of kind sales, among this model's reads.",
        }),
        salesVersion: arg.optional(
          arg.integer({ description: 'The newest where left out; the version used is in the outcome.' }),
        ),
        basisPeriod: dateRange('The sales to go by. It begins and ends on borders of the interval.'),
        goalPeriod: dateRange('The time to set goals for. It begins and ends on borders of the interval.'),
        interval: arg.oneOf(GOAL_INTERVAL, { default: 'MONTH', description: 'How long a time each goal is for.' }),
        grain: arg.list(arg.oneOf(GOAL_DIMENSION), { description: 'Empty: one cell for each interval.' }),
        method: arg.oneOf(GOAL_METHOD, {
          default: 'SAME_PERIOD_LAST_YEAR',
          description: 'How the sales are forecast.',
        }),
        growth: arg.decimal(18, 6, {
          default: '0',
          description: 'At least -1, up to 6 places: 0.05 is 5 % more.',
        }),
        total: arg.optional(
          arg.decimal(18, 2, {
            description:
              'Scale the whole to this total, spread over the cells in proportion, to the cent: the cells then add up to it exactly. Locked cells keep their amount.',
          }),
        ),
      },
      result: {
        name: 'GoalsComputed',
        description: 'All goals of the goal period, the locked ones too.',
        columns: {
          cells: { type: 'BIGINT', description: 'How many there are.' },
          total: { type: 'DECIMAL(18,2)', description: 'What they add up to.' },
          salesVersion: { type: 'INTEGER', description: 'The version of the sales model that they are from.' },
        },
      },
      errors: {
        GOALS_LOCKED: LOCKED.compute,
        NO_BASIS: 'There are no sales in the basis period, or nothing to share a total out by.',
      },
      check: checkComputeGoals,
      engines: { DUCKDB: computeGoals, ARROW: onArrow.computeGoals },
    }),

    adjustGoals: defineFunction({
      description: 'Gives the goals that where selects a new total.',
      arguments: {
        where: arg.where('goals', { description: 'The goals to be given the total.' }),
        total: arg.decimal(18, 2, {
          description:
            'The new total of the cells that where selects, met to the cent. Locked cells keep their amount and the unlocked ones take up the difference; where that cannot be done the intent is FAILED with GOALS_LOCKED.',
        }),
        spread: arg.oneOf(SPREAD_METHOD, { default: 'PROPORTIONAL', description: 'How the unlocked ones share it.' }),
        keepTotal: arg.boolean({
          default: false,
          description:
            "Take the difference from, or give it to, the unlocked cells outside where, so that the model's total stays.",
        }),
        lock: arg.boolean({ default: false, description: 'Lock the selected cells afterwards.' }),
      },
      result: {
        name: 'GoalsAdjusted',
        description: 'The selected goals, the locked ones too.',
        columns: {
          cells: { type: 'BIGINT', description: 'How many there are.' },
          total: { type: 'DECIMAL(18,2)', description: 'What they add up to.' },
        },
      },
      errors: {
        GOALS_LOCKED: LOCKED.adjust,
        NO_BASIS: 'where selects no goals, or those to be changed are all 0.00 and the spread is PROPORTIONAL.',
      },
      check: checkAdjustGoals,
      engines: { DUCKDB: adjustGoals, ARROW: onArrow.adjustGoals },
    }),

    lockGoals: defineFunction({
      description: 'Locks goals, so that they keep their amount, or unlocks them.',
      arguments: {
        where: arg.where('goals', { description: 'The goals to be locked or unlocked.' }),
        locked: arg.boolean({ description: 'Whether they are to be locked.' }),
      },
      result: {
        name: 'GoalsLocked',
        description: 'The selected goals.',
        columns: { cells: { type: 'BIGINT', description: 'How many there are, whether they were so before or not.' } },
      },
      engines: { DUCKDB: lockGoals, ARROW: onArrow.lockGoals },
    }),

    refreshActuals: defineFunction({
      description:
        "Sums the sales of the last run's goal period at its grain and interval into actuals. Changes nothing before the first run.",
      arguments: {},
      result: {
        name: 'ActualsRefreshed',
        description: 'The actuals of the goal period.',
        columns: {
          cells: { type: 'BIGINT', description: 'How many there are; 0 where nothing was refreshed.' },
          total: { type: 'DECIMAL(38,4)', description: 'What they add up to.' },
          salesVersion: {
            type: 'INTEGER',
            description: 'The version of the sales model that they are from; 0 before the first run.',
          },
        },
      },
      runsOn: 'sales',
      engines: { DUCKDB: refreshActuals, ARROW: onArrow.refreshActuals },
    }),
  },

  queries: {
    attainment: defineQuery({
      description: 'Goal beside actual, both as of this version.',
      arguments: {
        from: arg.optional(arg.date({ description: 'The first day; that of the goal period where left out.' })),
        to: arg.optional(arg.date({ description: 'The first day after; that of the goal period where left out.' })),
        by: arg.optional(
          arg.list(arg.oneOf(GOAL_DIMENSION), { description: 'Dimensions of the grain; summed over all others.' }),
        ),
        interval: arg.optional(
          arg.oneOf(GOAL_INTERVAL, { description: "Not finer than the goals'; summed over time where left out." }),
        ),
      },
      row: {
        name: 'Attainment',
        description: 'What was to be sold, and what was.',
        columns: {
          period: { type: 'DATE?', description: 'The first day of the interval, where one was asked for.' },
          siteId: 'VARCHAR?',
          productId: 'VARCHAR?',
          customerId: 'VARCHAR?',
          salespersonId: 'VARCHAR?',
          goalAmount: { type: 'DECIMAL(38,2)', description: 'The sum of the goals.' },
          actualAmount: { type: 'DECIMAL(38,4)', description: 'The sum of the sales.' },
          ratio: { type: 'DOUBLE?', description: 'actual / goal; null where the goal is 0.' },
        },
      },
      page: {
        salesVersion: {
          type: 'INTEGER?',
          description: 'The version of the sales model that the actuals are from; null where they are from several.',
        },
      },
      check: checkAttainment,
      engines: { DUCKDB: attainment, ARROW: onArrow.attainment },
    }),
  },
})
