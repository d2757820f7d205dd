import { open, readdir, readlink, stat } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Connections } from '../../src/engine/duckdb/connections.ts'
import type { SnapshotFiles, SnapshotReader, StreamFormat } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { duckdb, engines } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

// More than a row group, and more than is on its way at once.
const ROWS = 130_000
const FORMATS: readonly StreamFormat[] = ['arrow', 'csv', 'ndjson']
const plan = { table: 'harvests' }

describe.each(engines)('$name', engine => {
  let folder: TestFolder
  let files: SnapshotFiles
  beforeAll(async () => {
    folder = await testFolder(engine)
    files = await many()
  })
  afterAll(() => folder[Symbol.asyncDispose]())

  const many = () =>
    folder.filled(orchard, {
      harvests: `SELECT 'n' || i AS name, i % 100 AS batch, md5(i::VARCHAR) AS note FROM range(${ROWS}) AS n (i)`,
    })

  /** Readers with so many places, and a reader of many rows. */
  async function withReader(places: number, work: (reader: SnapshotReader) => Promise<void>): Promise<void> {
    const readers = await engine.startReaders({ places })
    try {
      await work(await readers.open({ kind: orchard, files }))
    } finally {
      await readers.close()
    }
    expect(await openFiles()).toEqual([])
  }

  /** Files below the folder that this process has open. */
  async function openFiles(): Promise<string[]> {
    const links = await Promise.allSettled((await readdir('/proc/self/fd')).map(fd => readlink(`/proc/self/fd/${fd}`)))
    return links.flatMap(link =>
      link.status === 'fulfilled' && link.value.startsWith(folder.path) ? [link.value] : [],
    )
  }

  test('one who takes slowly holds up nobody, and gets all of it', async () => {
    await withReader(1, async reader => {
      const whole = await buffer(reader.stream(plan, 'csv'))
      const slow = FORMATS.map(format => reader.stream(plan, format))
      for (const stream of slow) await stream.next()
      const csv = reader.stream(plan, 'csv')
      const head = (await csv.next()).value ?? Buffer.alloc(0)
      expect(await reader.count('harvests', ALL)).toBe(BigInt(ROWS))
      const rest = await buffer(csv)
      expect(Buffer.concat([head, rest]).equals(whole)).toBe(true)
      for (const stream of slow) await stream.return()
    })
  })

  describe.each(FORMATS)('a stream of %s', format => {
    test('that nobody takes any more ends, and gives back all that it had', async () => {
      await withReader(1, async reader => {
        for (let time = 0; time < 3; time++) {
          for await (const piece of reader.stream(plan, format)) {
            expect(piece.length).toBeGreaterThan(0)
            break
          }
        }
        expect(await reader.count('harvests', ALL)).toBe(BigInt(ROWS))
      })
    })

    test('is stopped by its signal, whether DuckDB works for it or not', async () => {
      await withReader(1, async reader => {
        const early = reader.stream(plan, format, AbortSignal.abort(new Error('never')))
        await expect(early.next()).rejects.toThrow('never')
        const between = new AbortController()
        const waiting = reader.stream(plan, format, between.signal)
        await waiting.next()
        between.abort(new Error('gone between'))
        await expect(buffer(waiting)).rejects.toThrow('gone between')
        const amid = new AbortController()
        const working = reader.stream(plan, format, amid.signal)
        const next = working.next()
        amid.abort(new Error('gone amid'))
        await expect(next).rejects.toThrow('gone amid')
        expect(await reader.count('harvests', ALL)).toBe(BigInt(ROWS))
      })
    })

    // Of a version on Arrow only that is read which was found to be sound.
    test.runIf(engine === duckdb)('is no shorter for a file that cannot be read to its end: it throws', async () => {
      const damaged = await many()
      const path = damaged['model.duckdb'] ?? ''
      const readers = await engine.startReaders()
      const reader = await readers.open({ kind: orchard, files: damaged })
      const stream = reader.stream(plan, format)
      try {
        await stream.next()
        const { size } = await stat(path)
        await using file = await open(path, 'r+')
        await file.write(Buffer.alloc(size / 2, 0xa5), 0, size / 2, size / 2)
        await expect(buffer(stream)).rejects.toThrow()
      } finally {
        await stream.return()
        await readers.close()
      }
    })
  })

  test('a reader is closed when its streams have ended, and has no more', async () => {
    await withReader(2, async reader => {
      const stream = reader.stream(plan, 'ndjson')
      await stream.next()
      let isClosed = false
      const closed = reader.close().then(() => {
        isClosed = true
      })
      const rest = await buffer(stream)
      expect(rest.subarray(-2).toString()).toBe('}\n')
      expect(isClosed).toBe(false)
      await closed
      await expect(reader.stream(plan, 'csv').next()).rejects.toThrow('closed')
    })
  })

  test('what needs more memory than there is fails before there is anything of it', async () => {
    const small = await engine.startReaders({ memoryBytes: 24 * 2 ** 20 })
    const crowded = await folder.filled(orchard, {
      growers: `SELECT 'grower ' || i AS "growerId", 'north' AS region FROM range(1000000) AS n (i)`,
      harvests: `SELECT 'one' AS name, 'grower 1' AS "growerId"`,
    })
    const where = { is: 'through', as: 'grower', of: { is: 'null', column: 'region', negated: true } } as const
    const reader = await small.open({ kind: orchard, files: crowded })
    const stream = reader.stream({ ...plan, where }, 'arrow')
    await expect(stream.next()).rejects.toMatchObject({ name: 'TeatreeError', code: 'QUERY_TOO_EXPENSIVE' })
    await small.close()
  })
})

test('exports have half of the places at most', async () => {
  const connections = await Connections.open({ places: 2 })
  const release = Promise.withResolvers<void>()
  const begun: string[] = []
  const exports = ['first', 'second'].map(name =>
    connections.use(
      async () => {
        begun.push(name)
        await release.promise
      },
      { isExport: true },
    ),
  )
  await connections.use(sql => sql.run('SELECT 1'))
  expect(begun).toEqual(['first'])
  release.resolve()
  await Promise.all(exports)
  expect(begun).toEqual(['first', 'second'])
  connections.close()
})
