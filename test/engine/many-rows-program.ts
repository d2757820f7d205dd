import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openArrowWriter } from '../../src/engine/arrow/writer.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineFunction, defineKind } from '../../src/kinds/index.ts'

/*
 * A function over frames writes far more than its process may have in memory; how many rows there are is printed. ROWS: a
 * multiple of 1000.
 */

const AMOUNTS = Array.from({ length: 12 }, (_, index) => `amount${index}`)

const fill = defineFunction({
  description: 'Writes as many rows as it is told to.',
  arguments: {},
  result: { name: 'Filled', description: 'How many.', columns: { rows: 'BIGINT' } },
  engines: {
    ARROW: async ({ pl, frame, append, rows, table }) => {
      const numbers = (name: string, count: number) =>
        frame(
          { [name]: 'INTEGER' },
          Array.from({ length: count }, (_, index) => ({ [name]: index })),
        )
      const both = numbers('most', Number(process.env.ROWS) / 1000).join(numbers('least', 1000), { how: 'cross' })
      const number = pl.col('most').mul(1000).add(pl.col('least')).cast(pl.Int32)
      const amounts = AMOUNTS.map(name => number.cast(pl.Decimal(18, 4)).alias(name))
      await append('heaps', both.select(number.alias('number'), ...amounts))
      const [counted] = await rows(table('heaps').select(pl.len().alias('rows')))
      return { rows: String(counted?.rows) }
    },
  },
})

const kind = checkKind(
  defineKind({
    name: 'heaps',
    description: 'Many rows',
    engines: ['ARROW'],
    tables: {
      heaps: {
        row: 'Heap',
        description: 'One of many',
        columns: { number: 'INTEGER', ...Object.fromEntries(AMOUNTS.map(name => [name, 'DECIMAL(18,4)' as const])) },
        key: ['number'],
        writes: [],
      },
    },
    functions: { fill },
  }),
)

const dir = await mkdtemp(join(tmpdir(), 'teatree-many-'))
try {
  const log = { error: (fields: unknown) => void process.stderr.write(`${JSON.stringify(fields)}\n`) }
  const writer = await openArrowWriter({ kind, kinds: new Map([[kind.name, kind]]), dir, from: null, log })
  const work = {
    ...{ intentId: '5b0f2a52-1f35-4a6c-9d0c-0a8cf8a3d7c1', seq: 1n, submittedAt: '2024-01-01T00:00:00.000000Z' },
    ...({ change: { is: 'function', name: 'fill', args: {}, reads: [] }, onStep: () => {} } as const),
    signal: new AbortController().signal,
  }
  const [outcome] = await writer.apply([work], 1)
  if (!outcome?.ok) throw outcome?.error ?? new Error('no outcome')
  process.stdout.write(`${outcome.result.rows}\n`)
  await writer.close()
} finally {
  await rm(dir, { recursive: true, force: true })
}
