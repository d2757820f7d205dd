import { checkKind } from '../../src/kinds/check.ts'
import {
  arg,
  defineFunction,
  defineKind,
  type FrameFunctionContext,
  TeatreeError,
  type Value,
} from '../../src/kinds/index.ts'

type Answer = Record<string, Value>
const done: Answer = { whole: 1, text: null }
const loaf = { name: 'VARCHAR', loaves: 'INTEGER' } as const

/** What the function `act` does with frames, each having written a row before. */
const ACTS = {
  finish: async () => done,
  refuse: async () => {
    throw new TeatreeError('OUT_OF_FLOUR', 'There is no flour.')
  },
  refuseUndeclared: async () => {
    throw new TeatreeError('OUT_OF_YEAST', 'There is no yeast.')
  },
  bug: async () => {
    throw new TypeError('flour is undefined')
  },
  overflow: async ({ pl, append, frame }) => {
    const many = frame({ name: 'VARCHAR', loaves: 'BIGINT' }, [{ name: 'many', loaves: '2000000000' }])
    await append('batches', many.withColumns(pl.col('loaves').mul(pl.lit(2).cast(pl.Int64))))
    return done
  },
  misspell: async ({ pl, table, rows }) => {
    await rows(table('batches').select(pl.col('flower')))
    return done
  },
  swallow: async ({ append, frame }) => {
    await append('batches', frame({ loaves: 'INTEGER' }, [{ loaves: 1 }])).catch(() => {})
    return done
  },
  round: async ({ append, frame }) => {
    await append('batches', frame({ name: 'VARCHAR', loaves: 'DOUBLE' }, [{ name: 'half', loaves: 0.5 }]))
    return done
  },
  strangeColumn: async ({ append, frame }) => {
    await append('batches', frame({ name: 'VARCHAR', crust: 'VARCHAR' }, [{ name: 'a', crust: 'thick' }]))
    return done
  },
  repeatKey: async ({ append, frame }) => {
    await append('batches', frame(loaf, [{ name: 'twice' }, { name: 'twice' }]))
    return done
  },
  repeatOld: async ({ append, frame }) => {
    await append('batches', frame(loaf, [{ name: 'before' }]))
    return done
  },
  repeatInAll: async ({ replace, frame }) => {
    await replace('batches', frame(loaf, [{ name: 'twice' }, { name: 'twice' }]))
    return done
  },
  answerNull: async () => ({ whole: null, text: null }),
  answerText: async () => ({ whole: 'one', text: null }),
  answerNothing: async () => undefined as unknown as Answer,
  forget: async ({ append, frame }) => {
    void append('batches', frame(loaf, [{ name: 'not waited for', loaves: 1 }]))
    return done
  },
  hang: () => new Promise<Answer>(() => {}),
  /** Goes on after its end. */
  persist: async ({ signal, append, frame }) => {
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
    await append('batches', frame(loaf, [{ name: 'too late', loaves: 1 }]))
    return done
  },
  draw: async ({ random, now, name }) => ({ whole: 0, text: [random(), random(), now, name].join(' ') }),
  /** Every way of writing, each of which the next one sees. */
  write: async ({ pl, append, upsert, remove, table, frame, rows }) => {
    const before = table('batches')
    const three = ['a', 'b', 'c'].map((name, index) => ({ name, loaves: index }))
    await append('batches', frame(loaf, three))
    const doubled = table('batches').filter(pl.col('name').neq(pl.lit('a')))
    await upsert('batches', doubled.withColumns(pl.col('loaves').mul(2).cast(pl.Int32)))
    await remove('batches', table('batches').filter(pl.col('loaves').eq(2)))
    await append('batches', frame(loaf, []))
    return {
      whole: (await rows(before)).length,
      text: JSON.stringify(await rows(table('batches').sort(pl.col('name')))),
    }
  },
  replace: async ({ replace, frame }) => {
    await replace('batches', frame(loaf, [{ name: 'all', loaves: null }]))
    return done
  },
  select: async ({ where, rows }) => {
    const found = await rows(where('batches', { loaves: { gte: 1 } }))
    return { whole: found.length, text: found.map(({ name }) => name).join() }
  },
  steps: async ({ step, table, frame, pl }) => {
    const all = await step('look', batches => batches.filter(pl.col('loaves').gtEq(1)), table('batches'))
    await step('nothing', () => frame(loaf, []))
    const both = await step('join', (a, b) => [...b, a], all, [1, 2])
    return { whole: both.length, text: null }
  },
  compare: async ({ step, table, frame, pl, rows }) => {
    const few = frame({ few: 'INTEGER' }, [{ few: 1 }, { few: 2 }, { few: 9 }])
    const more = await step(
      'more',
      batches => batches.join(few, { how: 'cross' }).filter(pl.col('few').gt(pl.col('loaves'))),
      table('batches'),
    )
    return { whole: (await rows(more)).length, text: null }
  },
} satisfies Record<string, (context: FrameFunctionContext) => Promise<Answer>>

export type FrameAct = keyof typeof ACTS

const act = defineFunction({
  description: 'Does what it is told, right or wrong.',
  arguments: { act: arg.varchar() },
  result: { name: 'Acted', description: 'What it answered.', columns: { whole: 'INTEGER', text: 'VARCHAR?' } },
  errors: { OUT_OF_FLOUR: 'There is no flour.' },
  timeoutSeconds: 1,
  engines: {
    ARROW: async context => {
      await context.append('batches', context.frame(loaf, [{ name: 'written before', loaves: 1 }]))
      const doing: (context: FrameFunctionContext) => Promise<Answer> = ACTS[context.args.act as FrameAct]
      return doing(context)
    },
  },
})

/** What it reads of sales, by frames and by SQL. */
const sum = defineFunction({
  description: 'Sums the sales that it reads by site.',
  arguments: { shop: arg.model('sales') },
  result: { name: 'Summed', description: 'The sums.', columns: { sites: 'VARCHAR' } },
  engines: {
    ARROW: async ({ pl, reads: [sales], rows }) => {
      const lines = await sales?.table('sales', ['siteId', 'amount', 'date'])
      if (!lines) throw new Error('nothing is read')
      const sums = lines.groupBy('siteId').agg(pl.col('amount').sum(), pl.col('date').max())
      return { sites: JSON.stringify(await rows(sums.sort(pl.col('siteId')))) }
    },
    DUCKDB: async ({ sql, reads: [sales] }) => ({
      sites: JSON.stringify(
        await sql.all(
          `SELECT siteId, sum(amount) AS amount, max(date) AS date FROM ${sales?.table('sales')} GROUP BY siteId ORDER BY siteId`,
        ),
      ),
    }),
  },
})

const columns = { name: 'VARCHAR', loaves: 'INTEGER?' } as const

/** A kind whose functions compute on frames, and go wrong in every way. */
export const frameBakery = checkKind(
  defineKind({
    name: 'bakery',
    description: 'Batches of bread',
    engines: ['DUCKDB', 'ARROW'],
    tables: {
      batches: { row: 'Batch', description: 'Loaves', columns, key: ['name'], writes: ['append', 'import'] },
    },
    functions: { act, sum },
  }),
)
