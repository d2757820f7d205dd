import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { duckdbEngine } from '../../src/engine/duckdb/index.ts'
import { anyEngine } from '../support/any-engine.ts'
import { manifestOf } from '../support/archives.ts'
import { quiet } from '../support/control.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { onS3, S3_URL } from '../support/object-stores.ts'
import { rowsOf } from '../support/rows-of.ts'
import { sale } from '../support/sales-model.ts'
import { teatree } from '../support/teatree.ts'

const STORES = [
  { name: 'files', options: () => ({}), there: true },
  { name: onS3('S3'), options: () => ({ storeUrl: `${S3_URL}/restore-${crypto.randomUUID()}` }), there: !!S3_URL },
]
const NO_REST = { ms: 0, times: 0 }

describe.each(STORES.filter(({ there }) => there))('restore from $name', ({ options }) => {
  let jobs: Losable
  let dir: string
  let model: string
  let rows: Awaited<ReturnType<Losable['rows']>>[]
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'teatree-restore-'))
    jobs = await openLosable(options())
    ;({ id: model } = await jobs.models.create({ kind: 'sales', engine: anyEngine() }))
    await jobs.startManager({ archiveRest: NO_REST }).hold(model)
    rows = []
    const intents = [
      [
        'appendSales',
        { rows: [sale({ orderId: 'A', salespersonId: null }), sale({ orderId: 'B', amount: '0.0001' })] },
      ],
      ['upsertSites', { rows: [{ siteId: 'Zürich', name: 'Zürich', region: null }] }],
      ['deleteSales', { where: { orderId: { eq: 'A' } } }],
    ] as const
    for (const [fn, args] of intents) {
      await jobs.run(model, fn, args)
      await jobs.archived(model)
      rows.push(await jobs.rows(model))
    }
  })
  afterAll(async () => {
    await jobs[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  })

  const restore = (which: string, to: string, env: Record<string, string> = {}) =>
    teatree(['restore', which, '--to', join(dir, to)], { TEATREE_STORE_URL: jobs.objects.url, ...env })

  async function restored(to: string) {
    const kind = jobs.kinds.get('sales')
    if (!kind) throw new Error('no kind')
    const readers = await duckdbEngine({ log: quiet }).openReaders()
    try {
      return await rowsOf(await readers.open({ kind, files: { 'model.duckdb': join(dir, to, 'model.duckdb') } }), kind)
    } finally {
      await readers.close()
    }
  }

  test('the newest version, row for row, with its number and seq; and again over what is there', async () => {
    expect(await restore(model, 'newest')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(new RegExp(`^Restoring ${model}: version 3, 2 rows, in .*model\\.duckdb\n$`)),
    })
    expect(await restored('newest')).toEqual(rows[2])
    expect(await restore(`${model}@1`, 'newest')).toMatchObject({ code: 0 })
    expect(await restored('newest')).toEqual(rows[0])
    expect(await readdir(join(dir, 'newest'))).toEqual(['model.duckdb'])
    // It is a file as any other: whoever opens it finds the tables in the kind's order.
    const instance = await DuckDBInstance.create(join(dir, 'newest', 'model.duckdb'), { access_mode: 'READ_ONLY' })
    const connection = await instance.connect()
    const described = await connection.runAndReadAll('DESCRIBE main.sales')
    expect(described.getColumnsJson()[0]?.slice(0, 3)).toEqual(['orderId', 'line', 'date'])
    connection.closeSync()
    instance.closeSync()
  })

  test('one line says what cannot be had, and nothing is left half done', async () => {
    await writeFile(join(dir, 'file'), '')
    // A version whose manifest is there and an object of which is not, and one with an object that is another.
    const tables = (await manifestOf(jobs, model, 2))?.tables ?? []
    const { key = '', bytes = 0 } = tables.find(({ table }) => table === 'sites') ?? {}
    const cases: [string, string, string][] = [
      ['nowhere', 'none', 'the store has no archive of a model nowhere; look at TEATREE_STORE_URL'],
      [`${model}@9`, 'none', `the store has no archive of ${model}@9; there are 3, 2, 1`],
      ['No Model', 'none', 'restore takes MODEL or MODEL@VERSION, not No Model'],
      [model, 'file', 'is no folder that can be written to'],
    ]
    for (const [which, to, line] of cases) {
      const { code, stderr } = await restore(which, to)
      expect([code, stderr.trim().split('\n').length, stderr]).toEqual([1, 1, expect.stringContaining(line)])
    }
    await jobs.objects.put(key, Buffer.alloc(bytes, 'x'))
    const damaged = await restore(model, 'damaged')
    expect(damaged.code).toBe(1)
    expect(damaged.stderr).toMatch(/archive of version 3 .* is damaged: the object of table sites .*\w@2\n$/)
    await jobs.objects.delete(key)
    const incomplete = await restore(`${model}@3`, 'damaged')
    expect(incomplete.stderr).toContain('3, the object of table sites is gone or of another length')
    expect(await readdir(join(dir, 'damaged'))).toEqual([])
    const older = await restore(model, 'older')
    expect(older).toMatchObject({ code: 0, stdout: expect.stringContaining('version 1') })
    expect(older.stdout).toContain('passed over')
    expect(await restored('older')).toEqual(rows[0])
  })

  test('where the store is away, the line says so', async () => {
    const { code, stderr } = await restore(model, 'away', {
      TEATREE_STORE_URL: 's3://nobody/there',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'nobody',
      AWS_SECRET_ACCESS_KEY: 'nothing',
    })
    expect([code, stderr.trim().split('\n').length]).toEqual([1, 1])
    expect(stderr).toMatch(/store/)
  })
})
