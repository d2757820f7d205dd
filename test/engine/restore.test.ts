import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ArchivedVersion, Readers, SnapshotFiles } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Row } from '../../src/kinds/types.ts'
import { quiet } from '../support/control.ts'
import { rowsOf } from '../support/rows-of.ts'
import { engines } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

const extreme: Row = {
  name: "n'",
  batch: null,
  note: '',
  boxes: -2147483648,
  code: '9223372036854775807',
  amount: '-99999999999999.9999',
  weight: '9999999999999999999999999999.9999999999',
  sugar: 5e-324,
  sold: true,
  day: '0001-01-01',
  weighedAt: '9999-12-31T23:59:59.999999Z',
  field: 1,
  part: null,
  growerId: '\u{1F600}',
}
const many = Array.from({ length: 5000 }, (_, index) => ({
  ...extreme,
  name: `tree ${index}`,
  batch: index % 3 === 0 ? null : index,
  sugar: index / 7,
  amount: `${index}.0625`,
  sold: index % 2 === 0,
}))

/** What one engine has archived, another can make files of. */
const pairs = engines.flatMap(archives => engines.map(restores => ({ archives, restores })))

describe.each(pairs)('$archives.name, restored as $restores.name', ({ archives, restores }) => {
  let folder: TestFolder
  let archiving: Readers
  let readers: Readers
  let there: Awaited<ReturnType<typeof archived>>
  beforeAll(async () => {
    folder = await testFolder(archives)
    archiving = await archives.startReaders()
    readers = restores === archives ? archiving : await restores.startReaders()
    there = await archived()
  })
  afterAll(async () => {
    await archiving.close()
    await readers.close()
    await folder[Symbol.asyncDispose]()
  })

  /** A version of the orchard, and its archive. */
  async function archived(): Promise<{ files: SnapshotFiles; archive: ArchivedVersion; dir: string }> {
    const files = await folder.snapshot(orchard, {
      harvests: [extreme, ...many],
      growers: [{ growerId: '', region: null, since: '2024-02-29' }],
    })
    const reader = await archiving.open({ kind: orchard, files })
    const dir = await mkdir(join(folder.path, crypto.randomUUID()), { recursive: true })
    if (!dir) throw new Error('no folder')
    const tables: Record<string, { path: string; rows: number }> = {}
    for (const name of orchard.tables.keys()) {
      const path = join(dir, `${name}.parquet`)
      tables[name] = { path, rows: (await reader.exportParquet({ table: name }, path)).rows }
    }
    return { files, dir, archive: { version: 7, lastSeq: 42n, shape: orchard.shape, tables } }
  }

  test('a version made from its Parquet has the same cells, the version and the seq, and can be written on', async () => {
    const { files, archive, dir } = there
    const made = join(dir, 'made')
    const told: string[] = []
    const { files: names, tables } = await restores.restore(archive, made, { onTable: table => told.push(table) })
    expect(told).toEqual([...orchard.tables.keys()])
    expect((await readdir(made)).sort()).toEqual(names.map(({ name }) => name).sort())
    const again = Object.fromEntries(names.map(({ name }) => [name, join(made, name)]))
    const [before, after] = [
      await archiving.open({ kind: orchard, files }),
      await readers.open({ kind: orchard, files: again }),
    ]
    const expected = await rowsOf(before, orchard)
    expect(await rowsOf(after, orchard)).toEqual({ ...expected, version: 7, lastSeq: 42n })
    expect(tables).toEqual(await before.tables())
    const from = again
    await mkdir(join(dir, 'scratch'))
    const writer = await restores.openWriter({
      kind: orchard,
      kinds: new Map(),
      dir: join(dir, 'scratch'),
      from,
      log: quiet,
    })
    expect(writer).toMatchObject({ version: 7, lastSeq: 42n, hasAdditions: false })
    await writer.close()
  })

  test('a Parquet that is not what the archive says is refused', async () => {
    const { archive, dir } = there
    const { growers, harvests } = archive.tables
    if (!growers || !harvests) throw new Error('no tables')
    const cases: [string, ArchivedVersion][] = [
      ['rows', { ...archive, tables: { ...archive.tables, growers: { ...growers, rows: 2 } } }],
      ['columns', { ...archive, tables: { ...archive.tables, growers: { ...harvests } } }],
      ['no table growers', { ...archive, tables: { harvests } }],
      ['no type', { ...archive, shape: { growers: { columns: { growerId: 'VARCHAR); --' }, key: ['growerId'] } } }],
    ]
    for (const [index, [what, wrong]] of cases.entries()) {
      const refused = restores.restore(wrong, join(dir, `wrong-${index}`))
      await expect(refused).rejects.toMatchObject({ code: 'BAD_FILE', message: expect.stringContaining(what) })
    }
  })

  test('a version of a kind that has grown since is taken up by it', async () => {
    const { growers, ...others } = orchard.definition.tables
    if (!growers) throw new Error('no growers')
    const { since, ...columns } = growers.columns
    const younger = checkKind({
      ...orchard.definition,
      queries: {},
      tables: { ...others, growers: { ...growers, columns } },
    })
    expect(since).toBe('DATE?')
    const files = await folder.snapshot(younger, { growers: [{ growerId: 'G', region: null }] })
    const reader = await archiving.open({ kind: younger, files })
    const dir = join(folder.path, crypto.randomUUID())
    await mkdir(join(dir, 'scratch'), { recursive: true })
    const tables: Record<string, { path: string; rows: number }> = {}
    for (const name of younger.tables.keys()) {
      const path = join(dir, `${name}.parquet`)
      tables[name] = { path, rows: (await reader.exportParquet({ table: name }, path)).rows }
    }
    const made = await restores.restore({ version: 1, lastSeq: 1n, shape: younger.shape, tables }, join(dir, 'made'))
    const again = Object.fromEntries(made.files.map(({ name }) => [name, join(dir, 'made', name)]))
    const grown = await rowsOf(await readers.open({ kind: orchard, files: again }), orchard)
    expect(grown.tables.growers).toEqual([{ growerId: 'G', region: null, since: null }])
    const writer = await restores.openWriter({
      kind: orchard,
      kinds: new Map(),
      dir: join(dir, 'scratch'),
      from: again,
      log: quiet,
    })
    expect(writer).toMatchObject({ version: 1, hasAdditions: true })
    await writer.close()
  })

  test('a restore that is stopped ends with the reason', async () => {
    const { archive, dir } = there
    const stop = new AbortController()
    const reason = new Error('enough')
    const onTable = () => stop.abort(reason)
    await expect(restores.restore(archive, join(dir, 'stopped'), { signal: stop.signal, onTable })).rejects.toBe(reason)
  })
})
