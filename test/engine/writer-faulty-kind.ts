import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkKind } from '../../src/kinds/check.ts'
import {
  arg,
  defineFunction,
  defineKind,
  type FunctionContext,
  TeatreeError,
  type Value,
} from '../../src/kinds/index.ts'
import type { Kind } from '../../src/kinds/kind.ts'

type Answer = Record<string, Value>
const done: Answer = { whole: 1, text: null }

/** What the function `act` does, having written a row before, and `actFirst`, having written nothing. */
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
  overflow: async ({ sql }) => {
    await sql.run('SELECT 2000000000::INTEGER + 2000000000::INTEGER')
    return done
  },
  misspell: async ({ sql }) => {
    await sql.run('SELECT flower FROM batches')
    return done
  },
  swallow: async ({ sql }) => {
    await sql.run(`SELECT 'x'::INTEGER`).catch(() => {})
    await sql.run(`INSERT INTO batches VALUES ('written behind', 1)`).catch(() => {})
    return done
  },
  commit: async ({ sql }) => {
    await sql.run('COMMIT')
    return done
  },
  escape: async ({ sql }) => {
    await sql.run(`ATTACH ':memory:' AS elsewhere`)
    return done
  },
  repeatKey: async ({ sql }) => {
    await sql.run(`INSERT INTO batches VALUES ('twice', NULL), ('twice', NULL)`)
    return done
  },
  create: async ({ sql }) => {
    await sql.run('CREATE TABLE oven AS SELECT 1 AS heat')
    return done
  },
  createBehindTemp: async ({ sql }) => {
    await sql.run('CREATE TEMP TABLE dough AS SELECT 7 AS balls; CREATE /* TEMP */ TABLE oven AS SELECT 1 AS heat')
    return done
  },
  dropBehindTemp: async ({ sql }) => {
    await sql.run(
      'CREATE TEMP TABLE dough AS SELECT 7 AS balls; DROP TABLE IF EXISTS temp.dough; DROP TABLE main.batches',
    )
    return done
  },
  createSequence: async ({ sql }) => {
    await sql.run('CREATE SEQUENCE loaf')
    return done
  },
  createByImport: async ({ sql, intentId }) => {
    const folder = await mkdtemp(join(tmpdir(), `teatree-${intentId}-`))
    await writeFile(join(folder, 'schema.sql'), 'CREATE TABLE oven (heat INTEGER);')
    await writeFile(join(folder, 'load.sql'), '')
    try {
      await sql.run(`IMPORT DATABASE '${folder}'`)
    } finally {
      await rm(folder, { recursive: true })
    }
    return done
  },
  createMacro: async ({ sql }) => {
    await sql.run('CREATE\nMACRO half(n) AS n // 2')
    return done
  },
  explain: async ({ sql }) => {
    await sql.all(`EXPLAIN ANALYZE INSERT INTO batches VALUES ('explained', 1)`)
    throw new TypeError('flour is undefined')
  },
  drop: async ({ sql }) => {
    await sql.run('DROP TABLE batches')
    return done
  },
  createTemp: async ({ sql }) => {
    await sql.run('CREATE TEMP TABLE dough AS SELECT 7 AS balls; CREATE TEMP MACRO half(n) AS n // 2')
    const [row] = await sql.all('SELECT half(balls) AS whole FROM dough')
    return { whole: Number(row?.whole), text: null }
  },
  answerNull: async () => ({ whole: null, text: null }),
  answerText: async () => ({ whole: 'one', text: null }),
  answerNothing: async () => undefined as unknown as Answer,
  forget: async ({ sql }) => {
    void sql.run(`INSERT INTO batches VALUES ('not waited for', 1)`)
    return done
  },
  parallel: async ({ sql }) => {
    const counts = await Promise.all(['a', 'b', 'c'].map(text => sql.all('SELECT $text AS text', { text })))
    return { whole: counts.length, text: counts.map(([row]) => row?.text).join('') }
  },
  /** Neither computes nor listens. */
  hang: () => new Promise<Answer>(() => {}),
  compute: async ({ sql }) => {
    await sql.all('SELECT count(*) AS n FROM range(1000000000000) AS r (i) WHERE hash(i) % 7 = 1')
    return done
  },
  /** Is interrupted, and begins anew. */
  persist: async ({ sql }) => {
    for (let attempt = 1; attempt <= 3; attempt++) {
      await sql
        .all('SELECT count(*) AS n FROM range(1000000000000) AS r (i) WHERE hash(i) % 7 = 1')
        .catch(() => new Promise(resolve => setImmediate(resolve)))
    }
    return done
  },
  draw: async ({ random, now, name }) => ({ whole: 0, text: [random(), random(), now, name].join(' ') }),
  spill: async ({ sql }) => {
    await sql.run(
      'CREATE TEMP TABLE big AS SELECT i, hash(i) AS h, md5(i::VARCHAR) AS m FROM range(200000000) AS r (i)',
    )
    return done
  },
  disguise: async ({ sql }) => {
    await sql
      .run('CREATE TEMP TABLE big AS SELECT i, hash(i) AS h, md5(i::VARCHAR) AS m FROM range(200000000) AS r (i)')
      .catch(() => {
        throw new TeatreeError('OUT_OF_FLOUR', 'It cannot be the disk.')
      })
    return done
  },
} satisfies Record<string, (context: FunctionContext) => Promise<Answer>>

export type Act = keyof typeof ACTS

const act = (timeoutSeconds: number, writesBefore: boolean) =>
  defineFunction({
    description: 'Does what it is told, right or wrong.',
    arguments: { act: arg.varchar() },
    result: { name: 'Acted', description: 'What it answered.', columns: { whole: 'INTEGER', text: 'VARCHAR?' } },
    errors: { OUT_OF_FLOUR: 'There is no flour.' },
    timeoutSeconds,
    engines: {
      DUCKDB: async context => {
        if (writesBefore) await context.sql.run(`INSERT INTO batches VALUES ('written before', 1)`)
        const doing: (context: FunctionContext) => Promise<Answer> = ACTS[context.args.act as Act]
        return context.step(context.args.act, () => doing(context))
      },
    },
  })

const columns = { name: 'VARCHAR', loaves: 'INTEGER?' } as const

const kindWith = (timeoutSeconds: number): Kind =>
  checkKind(
    defineKind({
      name: 'bakery',
      description: 'Batches of bread',
      engines: ['DUCKDB'],
      tables: {
        batches: { row: 'Batch', description: 'Loaves', columns, key: ['name'], writes: ['append', 'import'] },
      },
      functions: { act: act(timeoutSeconds, true), actFirst: act(timeoutSeconds, false) },
    }),
  )

/** A kind whose function goes wrong in every way, and has little time for it. */
export const bakery = kindWith(1)
/** The same with all the time that it may need. */
export const patientBakery = kindWith(900)
