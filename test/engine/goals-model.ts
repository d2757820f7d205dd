import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import goalsDefinition from '../../models/goals.ts'
import salesDefinition from '../../models/sales.ts'
import type {
  Change,
  QueryRows,
  Readers,
  SnapshotFiles,
  SnapshotReader,
  SnapshotRef,
  Writer,
} from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { coerceArguments } from '../../src/kinds/validate.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { arrow, duckdb, engines, type TestEngine } from './engines.ts'
import type { Sale } from './goals-oracle.ts'

const sales = checkKind(salesDefinition)
const goals = checkKind(goalsDefinition)
const kinds = new Map([sales, goals].map(kind => [kind.name, kind]))

/** Whole units as a decimal: `decimal(-5n, 2)` is "-0.05". */
export function decimal(units: bigint, places: number): string {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`
}

/** What a call came to: the function's result, or the code that it was refused with. */
export type Outcome = { result: Row; steps: string[] } | { code: string; message: string }

/** One model, its writer and its newest version. */
interface Published {
  id: string
  kind: Kind
  writer: Writer
  /** Of its newest version; null until somebody asks for them. */
  files: SnapshotFiles | null
  seq: bigint
}

/** On which engines the goals are, and the sales. */
export type GoalsEngines = Record<'goals' | 'sales', TestEngine>

/** Goals on every engine, of sales on every engine. */
export const pairs: readonly GoalsEngines[] = engines.flatMap(goals => engines.map(sales => ({ goals, sales })))

/** A model of goals, and the models of sales that it reads: `shop`, and others as they are sold in. */
export class GoalsModel implements AsyncDisposable {
  readonly #dir: string
  readonly #engines: GoalsEngines
  /** What functions on Arrow may take. */
  readonly #functionBytes: number | undefined
  readonly #readers: Readers
  readonly #models = new Map<string, Published>()
  readonly #faults: unknown[] = []
  #reader: SnapshotReader | undefined
  #lines = 0
  /** When the next intents are submitted. */
  now = '2013-01-31T09:00:00.000000Z'
  /** The models of sales that it reads. */
  reads = ['shop']

  private constructor(dir: string, engines: GoalsEngines, readers: Readers, functionBytes: number | undefined) {
    this.#dir = dir
    this.#engines = engines
    this.#functionBytes = functionBytes
    this.#readers = readers
  }

  static async open(
    engines: GoalsEngines = { goals: duckdb, sales: duckdb },
    functionBytes?: number,
  ): Promise<GoalsModel> {
    const dir = await mkdtemp(join(tmpdir(), 'teatree-goals-'))
    const model = new GoalsModel(dir, engines, await engines.goals.startReaders(), functionBytes)
    await model.#make('goals', goals)
    await model.#make('shop', sales)
    return model
  }

  /** Adds sales: the next version, whose number it gives. */
  async sell(rows: readonly Sale[], shop = 'shop'): Promise<number> {
    const model = this.#models.get(shop) ?? (await this.#make(shop, sales))
    const lines = rows.map(({ amount, ...sale }) => {
      this.#lines += 1
      return { orderId: String(this.#lines), line: 1, ...sale, quantity: '1.0000', amount: decimal(amount, 4) }
    })
    await this.#apply(model, { is: 'append', table: 'sales', rows: lines })
    return model.writer.version
  }

  /** Adds the sales, or what they refer to, of a Parquet file. `columns`: column to fill → column of the file. */
  async import(table: string, path: string, columns: Record<string, string>): Promise<void> {
    const source = { is: 'file' as const, path, format: 'PARQUET' as const, columns }
    await this.#apply(this.#the('shop'), { is: 'import', table, mode: 'APPEND', source })
  }

  /** Calls a function of the goals with what a client would send; where it is not refused, publishes. */
  async call(name: string, raw: Record<string, unknown> = {}): Promise<Outcome> {
    const spec = goals.functions.get(name)
    if (!spec) throw new Error(`there is no function ${name}`)
    const steps: string[] = []
    try {
      const args = coerceArguments(goals, spec, raw)
      const reads = await Promise.all(
        typeof args.salesModel === 'string'
          ? [this.#ref(args.salesModel, 'salesModel')]
          : spec.runsOn
            ? this.reads.map((id, index) => this.#ref(id, index === 0 ? 'source' : `source_${index + 1}`))
            : [],
      )
      const result = await this.#apply(this.#the('goals'), { is: 'function', name, args, reads }, step =>
        steps.push(step),
      )
      return { result, steps }
    } catch (error) {
      if (error instanceof Error && 'code' in error && this.#faults.length === 0) {
        return { code: String(error.code), message: error.message }
      }
      throw this.#faults.length > 0
        ? new AggregateError(this.#faults, 'a function failed by a fault of its own')
        : error
    }
  }

  /** All rows of a table of the goals, by key. */
  async rows(name: string): Promise<readonly Row[]> {
    const table = goals.tables.get(name)
    if (!table) throw new Error(`there is no table ${name}`)
    const columns = [...table.columns.keys()]
    const orderBy = table.key.map(column => ({ column, direction: 'ASC', nulls: 'LAST' }) as const)
    return (await this.#read()).rows({ table: name, columns, where: ALL, orderBy, limit: 10_000_000 })
  }

  /** A page of attainment, as a client would ask for it. */
  async attainment(
    raw: Record<string, unknown>,
    page: { limit?: number; after?: readonly Value[] } = {},
  ): Promise<QueryRows> {
    const query = goals.queries.get('attainment')
    if (!query) throw new Error('there is no query attainment')
    const args = coerceArguments(goals, query, raw)
    return (await this.#read()).query('attainment', args, { limit: 10_000, count: true, ...page })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { writer } of this.#models.values()) await writer.close()
    await this.#readers.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #make(id: string, kind: Kind): Promise<Published> {
    const dir = join(this.#dir, id)
    await mkdir(dir)
    const log = { error: (...line: unknown[]) => this.#faults.push(...line) }
    const engine = this.#engines[kind === goals ? 'goals' : 'sales']
    const bytes = engine === arrow && this.#functionBytes
    const writer = await engine.openWriter({ kind, kinds, dir, from: null, log, ...(bytes && { memoryBytes: bytes }) })
    const model = { id, kind, writer, files: null, seq: 0n }
    this.#models.set(id, model)
    return model
  }

  async #apply(model: Published, change: Change, onStep: (step: string) => void = () => {}): Promise<Row> {
    model.seq += 1n
    const [outcome] = await model.writer.apply(
      [
        {
          intentId: `intent-${model.seq}`,
          seq: model.seq,
          submittedAt: this.now,
          change,
          signal: new AbortController().signal,
          onStep,
        },
      ],
      model.writer.version + 1,
    )
    if (!outcome?.ok) throw outcome?.error ?? new TeatreeError('INTERNAL', 'no outcome')
    model.files = null
    return outcome.result
  }

  async #files(model: Published): Promise<SnapshotFiles> {
    if (model.files) return model.files
    const dir = join(this.#dir, `${model.id}-${model.seq}`)
    const { files } = await model.writer.snapshot(dir)
    model.files = Object.fromEntries(files.map(({ name }) => [name, join(dir, name)]))
    return model.files
  }

  /** A reader of the newest version of the goals. */
  async #read(): Promise<SnapshotReader> {
    const model = this.#the('goals')
    if (this.#reader && model.files) return this.#reader
    await this.#reader?.close()
    this.#reader = await this.#readers.open({ kind: goals, files: await this.#files(model) })
    return this.#reader
  }

  #the(id: string): Published {
    const model = this.#models.get(id)
    if (!model) throw new Error(`there is no model ${id}`)
    return model
  }

  async #ref(id: string, alias: string): Promise<SnapshotRef> {
    const model = this.#the(id)
    return { alias, model: id, kind: model.kind.name, version: model.writer.version, files: await this.#files(model) }
  }
}
