import { randomUUID } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { databaseOf } from '../src/engine/duckdb/database.ts'
import { duckdbEngine } from '../src/engine/duckdb/index.ts'
import type { Change, Engine, Readers, SnapshotFiles, Writer } from '../src/engine/engine.ts'
import { ALL } from '../src/engine/plan.ts'
import { checkKind } from '../src/kinds/check.ts'
import { arg, defineFunction, defineKind } from '../src/kinds/index.ts'
import { median, ms, quantile, table, versionOf } from './figures.ts'

const ROUNDS = 7
const IN_A_ROW = 1000
const BLOCK_BYTES = 256 * 1024
/** Megabytes of the models; the largest takes a minute or two to be generated. */
const SIZES = [60, 500, 2000]
/** What a row takes on disk: seven doubles that cannot be compressed, and a key that can. */
const ROW_BYTES = 57

/** Measurements of random values, changed by SQL in the engine's own writer. */
const readings = checkKind(
  defineKind({
    name: 'readings',
    description: 'Random readings',
    engines: ['DUCKDB'],
    tables: {
      readings: {
        row: 'Reading',
        description: 'Readings',
        columns: {
          reading: 'BIGINT',
          ...Object.fromEntries(Array.from({ length: 7 }, (_, n) => [`value${n}`, 'DOUBLE' as const])),
        },
        key: ['reading'],
        writes: ['append', 'update'],
      },
    },
    functions: {
      change: defineFunction({
        description: 'Runs a statement',
        arguments: { statement: arg.varchar() },
        result: { name: 'Changed', description: 'Nothing to tell', columns: { done: 'BOOLEAN' } },
        timeoutSeconds: 3600,
        engines: {
          DUCKDB: async ({ args, sql }) => {
            await sql.run(args.statement)
            return { done: true }
          },
        },
      }),
      set: defineFunction({
        description: 'Sets a value where some SQL says so',
        arguments: { where: arg.varchar() },
        result: { name: 'Set', description: 'Nothing to tell', columns: { done: 'BOOLEAN' } },
        timeoutSeconds: 3600,
        engines: {
          DUCKDB: async ({ args, update }) => {
            await update('readings', { set: { value0: 'random()' }, where: args.where })
            return { done: true }
          },
        },
      }),
    },
  }),
)

/** What is changed, and how; answers with the milliseconds of applying it. `n` makes each round another. */
const CHANGES: Record<string, (model: Model, n: number) => Promise<number>> = {
  'append 10 rows': model => model.append(10),
  'update 500 rows': (model, n) => model.update(500, n),
  '… in SQL of a function': (model, n) => model.change(`UPDATE readings SET value0 = random() WHERE ${some(model, n)}`),
  '… by update of a function': (model, n) => model.set(some(model, n)),
  'delete 1 %': (model, n) => model.change(`DELETE FROM readings WHERE reading % 100 = ${n}`),
}

const some = ({ appended }: Model, n: number): string =>
  `reading IN (SELECT (hash(i * 1000 + ${n}) % ${appended})::BIGINT FROM range(500) r (i))`

/** A model with versions as the platform has them: the newest three are kept, readers open each as it is published. */
class Model implements AsyncDisposable {
  readonly #writer: Writer
  readonly #readers: Readers
  readonly #dir: string
  readonly #versions: { dir: string; files: SnapshotFiles }[] = []
  #seq = 0n

  private constructor(writer: Writer, readers: Readers, dir: string) {
    this.#writer = writer
    this.#readers = readers
    this.#dir = dir
  }

  static async open(engine: Engine, dir: string): Promise<Model> {
    await mkdir(join(dir, 'scratch'), { recursive: true })
    const kinds = new Map([[readings.name, readings]])
    const writer = await engine.openWriter({ kind: readings, kinds, dir: join(dir, 'scratch'), from: null })
    return new Model(writer, await engine.openReaders(), dir)
  }

  /** How many readings have been appended in all. */
  appended = 0

  /** Readings that the engine makes up itself. */
  fill(rows: number): Promise<number> {
    const from = this.appended
    this.appended += rows
    const values = Array.from({ length: 7 }, () => 'random()').join(', ')
    return this.change(`INSERT INTO readings SELECT i, ${values} FROM range(${from}, ${this.appended}) r (i)`)
  }

  append(count: number): Promise<number> {
    const rows = Array.from({ length: count }, () => {
      const values = Array.from({ length: 7 }, (_, n) => [`value${n}`, Math.random()])
      return { reading: String(this.appended++), ...Object.fromEntries(values) }
    })
    return this.#apply({ is: 'append', table: 'readings', rows })
  }

  update(count: number, n: number): Promise<number> {
    const values = Array.from({ length: count }, (_, i) => String((i * 7919_7919 + n * 104_729) % this.appended))
    const where = { is: 'in' as const, column: 'reading', values, negated: false }
    return this.#apply({ is: 'update', table: 'readings', where, set: { value0: Math.random() } })
  }

  change(statement: string): Promise<number> {
    return this.#apply({ is: 'function', name: 'change', args: { statement }, reads: [] })
  }

  set(where: string): Promise<number> {
    return this.#apply({ is: 'function', name: 'set', args: { where }, reads: [] })
  }

  async #apply(change: Change): Promise<number> {
    const started = performance.now()
    this.#seq += 1n
    const [outcome] = await this.#writer.apply(
      [
        {
          intentId: randomUUID(),
          seq: this.#seq,
          submittedAt: '2026-01-01T00:00:00.000000Z',
          change,
          signal: new AbortController().signal,
          onStep: () => {},
        },
      ],
      this.#writer.version + 1,
    )
    if (!outcome?.ok) throw outcome?.error ?? new Error('no outcome')
    return performance.now() - started
  }

  /**
   * Milliseconds and bytes of making the version's files, and milliseconds until a reader has counted its rows. `base` is the
   * same for versions that are links to one.
   */
  async publish(): Promise<{ files: number; bytes: number; open: number; base: number }> {
    const dir = join(this.#dir, `version-${this.#writer.version}`)
    const [started, written] = [performance.now(), await bytesWritten()]
    const { files: made } = await this.#writer.snapshot(dir)
    const published = performance.now()
    const bytes = (await bytesWritten()) - written
    const files = Object.fromEntries(made.map(({ name }) => [name, join(dir, name)]))
    const opening = performance.now()
    const reader = await this.#readers.open({ kind: readings, files })
    await reader.count('readings', ALL)
    const open = performance.now() - opening
    await reader.close()
    const { ino } = await stat(join(dir, made[0]?.name ?? ''))
    this.#versions.push({ dir, files })
    if (this.#versions.length > 3) await rm(this.#versions.shift()?.dir ?? '', { recursive: true })
    return { files: published - started, bytes, open, base: ino }
  }

  /**
   * The database of the newest version, and its bytes. Not the writer's own: a checkpoint behind the version may shorten it,
   * and `fs.copyFile` of a file that shrinks meanwhile never ends.
   */
  async file(): Promise<{ path: string; bytes: number }> {
    const path = databaseOf(this.#versions.at(-1)?.files ?? {})
    return { path, bytes: (await stat(path)).size }
  }

  /** What the writer does while nobody waits. */
  tidy(): Promise<void> {
    return this.#writer.tidy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#readers.close()
    await this.#writer.close()
  }
}

/** What this process has handed to the system for writing, in bytes; only Linux tells. */
async function bytesWritten(): Promise<number> {
  const io = await readFile('/proc/self/io', 'utf8').catch(() => '')
  return Number(/^wchar: (\d+)/m.exec(io)?.[1] ?? Number.NaN)
}

/** Milliseconds of copying the file, and of that and having the copy on disk, as a version has to be. */
async function copied({ path }: { path: string }, to: string): Promise<{ copy: number; synced: number }> {
  const started = performance.now()
  await copyFile(path, to)
  const copy = performance.now() - started
  const file = await open(to)
  await file.sync()
  const synced = performance.now() - started
  await file.close()
  await rm(to)
  return { copy, synced }
}

/**
 * What publishing a version costs, in time and bytes, beside `fs.copyFile` of the same file in the same run, for models of
 * several sizes; and a thousand appends in a row, in which the price of new bases shows.
 */
export async function run(args: string[]): Promise<void> {
  const sizes = args.length > 0 ? args.map(Number) : SIZES
  process.stdout.write(`DuckDB ${versionOf('@duckdb/node-api')} · ${ROUNDS} rounds, medians\n`)
  const engine = duckdbEngine({ log: { error: () => {} } })
  const changes: string[][] = []
  const inARow: string[][] = []
  let smallest: InARow | undefined
  for (const megabytes of sizes) {
    const dir = await mkdtemp(join(tmpdir(), 'teatree-bench-'))
    try {
      await using model = await Model.open(engine, dir)
      for (let left = Math.ceil((megabytes * 1e6) / ROW_BYTES); left > 0; left -= 4e6)
        await model.fill(Math.min(left, 4e6))
      await model.publish()
      const file = await model.file()
      const size = `${(file.bytes / 1e6).toFixed(0)} MB`
      process.stdout.write(`${size} …\n`)
      // First: where rows are deleted, counting the others takes longer than anything that is measured here.
      const row = await manyInARow(model)
      smallest ??= row
      inARow.push([size, ...cellsOf(row, smallest)])
      for (const [name, change] of Object.entries(CHANGES))
        changes.push([size, name, ...(await rounds(model, dir, change))])
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
  process.stdout.write(
    `\n${table(
      [
        'model',
        'change',
        'apply ms',
        'publish ms',
        'and opened',
        'MB written',
        'copyFile ms',
        'and synced',
        'copy / publish',
        'copy / opened',
        'synced / opened',
      ],
      changes,
    )}\n${IN_A_ROW} appends of 10 rows in a row: publish and open, and all of it, with the appends, which wait for new bases\n\n${table(
      [
        'model',
        'mean ms',
        'p50',
        'p99',
        'most',
        'mean / smallest',
        'all: mean ms',
        'p99',
        'most',
        'mean / smallest',
        'CPU ms',
        'CPU / smallest',
        'bases',
        'MB written',
        'bytes / changed blocks',
      ],
      inARow,
    )}`,
  )
}

async function rounds(
  model: Model,
  dir: string,
  change: (model: Model, n: number) => Promise<number>,
): Promise<string[]> {
  const found = {
    apply: [] as number[],
    files: [] as number[],
    opened: [] as number[],
    bytes: [] as number[],
    copy: [] as number[],
    synced: [] as number[],
  }
  for (let round = 0; round <= ROUNDS; round++) {
    const apply = await change(model, round)
    const { files, open, bytes } = await model.publish()
    const { copy, synced } = await copied(await model.file(), join(dir, 'copy'))
    // The first round warms up.
    if (round === 0) continue
    found.apply.push(apply)
    found.files.push(files)
    found.opened.push(files + open)
    found.bytes.push(bytes)
    found.copy.push(copy)
    found.synced.push(synced)
  }
  const { apply, files, opened, bytes, copy, synced } = found
  return [
    ...[apply, files, opened].map(times => ms(median(times))),
    (median(bytes) / 1e6).toFixed(2),
    ...[copy, synced].map(times => ms(median(times))),
    ratio(median(copy), median(files)),
    ratio(median(copy), median(opened)),
    ratio(median(synced), median(opened)),
  ]
}

/** At least two blocks change with every version: one of data, and one that says where it is. */
const CHANGED_BYTES = 2 * BLOCK_BYTES

/** Times in milliseconds, those of the processor of each; the counts are of all. */
interface InARow {
  opened: number[]
  all: number[]
  cpu: number
  bases: number
  bytes: number
}

async function manyInARow(model: Model): Promise<InARow> {
  const [opened, all]: [number[], number[]] = [[], []]
  let [bases, last] = [-1, -1]
  const [written, cpu] = [await bytesWritten(), process.cpuUsage()]
  for (let n = 0; n < IN_A_ROW; n++) {
    const applied = await model.append(10)
    const { files, open, base } = await model.publish()
    opened.push(files + open)
    all.push(applied + files + open)
    if (base !== last) bases += 1
    last = base
  }
  // What is written out of sight counts too, and is waited for.
  await model.tidy()
  const { user, system } = process.cpuUsage(cpu)
  const bytes = (await bytesWritten()) - written
  return { opened, all, cpu: (user + system) / 1000 / IN_A_ROW, bases, bytes }
}

function cellsOf({ opened, all, cpu, bases, bytes }: InARow, smallest: InARow): string[] {
  return [
    ...[mean(opened), median(opened), quantile(opened, 0.99), Math.max(...opened)].map(ms),
    ratio(mean(opened), mean(smallest.opened)),
    ...[mean(all), quantile(all, 0.99), Math.max(...all)].map(ms),
    ratio(mean(all), mean(smallest.all)),
    ms(cpu),
    ratio(cpu, smallest.cpu),
    String(bases),
    (bytes / 1e6).toFixed(0),
    (bytes / (IN_A_ROW * CHANGED_BYTES)).toFixed(2),
  ]
}

const mean = (times: readonly number[]): number => times.reduce((sum, time) => sum + time, 0) / times.length

const ratio = (a: number, b: number) => `${(a / b).toFixed(a / b < 10 ? 2 : 0)}x`
