import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kind } from '../../kinds/kind.ts'
import type { Addition } from '../../kinds/shape.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { additionsTo } from '../additions.ts'
import type { Checksums, SnapshotFiles } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { Bases } from './bases.ts'
import { DATABASE, databaseOf, type ModelDatabase, openDatabase, type WriterResources, walOf } from './database.ts'
import { addToTables, createTables } from './ddl.ts'
import { inMemory } from './in-memory.ts'
import { literal } from './sql.ts'
import { createState, PART_OF_BATCH, readState, type State, writeState } from './state.ts'
import { TableCounts } from './table-counts.ts'
import { transaction } from './transaction.ts'

/** A model's one read-write database, and what is known of it. */
export interface OpenModel {
  db: ModelDatabase
  bases: Bases
  counts: TableCounts
  state: State
  /** What the kind has got since the database was written last. */
  additions: readonly Addition[]
}

/** The folder of the bases, in that of the database. */
const BASES = 'bases'

export interface OpenModelOptions extends WriterResources {
  kind: Kind
  dir: string
  /** Of the files that it is begun as a copy of. */
  checksums?: Checksums | undefined
  /** These files are another model's. */
  isShared?: boolean
}

/**
 * Opens the database in `dir`, begun as a copy of `from`, or empty.
 * @throws TeatreeError KIND_CHANGED where it was made with a shape of the kind that this one cannot take up
 * @throws SnapshotDamaged where `from` is not what its checksums say
 * @throws SurroundingsError
 */
export async function openModel(options: OpenModelOptions, from: SnapshotFiles | null): Promise<OpenModel> {
  const { kind, dir } = options
  let db: ModelDatabase | undefined
  try {
    db = await openDatabase(dir, from, options)
    if (from === null) await createModel(db, kind)
    const state = await readState(db.sql)
    if (state.version === PART_OF_BATCH) throw new Error('the database holds a part of a batch, and so no version')
    return {
      db,
      bases: await Bases.open({
        dir: join(dir, BASES),
        database: db.path,
        from: from && databaseOf(from),
        manifest: db.manifest,
        isShared: options.isShared ?? false,
      }),
      counts: new TableCounts(db.sql, [...kind.tables.keys()], state.version),
      state,
      additions: additionsTo(kind, state.shape),
    }
  } catch (error) {
    db?.close()
    await clear(dir)
    if (error instanceof TeatreeError || error instanceof SnapshotDamaged) throw error
    throw new SurroundingsError('the model could not be opened', error)
  }
}

/** @throws TeatreeError KIND_CHANGED where a version was made with a shape that this kind cannot take up */
export async function checkShape(files: SnapshotFiles, kind: Kind): Promise<void> {
  await inMemory(null, async sql => {
    await sql.run(`ATTACH ${literal(databaseOf(files))} AS source (READ_ONLY, TYPE duckdb)`)
    additionsTo(kind, (await readState(sql, 'source')).shape)
  })
}

/** Closes it; what it has written stays. */
export async function closeModel({ db, bases }: OpenModel): Promise<void> {
  await bases.close()
  db.close()
}

/** Closes it, and removes what it has written; what versions are links to stays. */
export async function discardModel(model: OpenModel, dir: string): Promise<void> {
  await closeModel(model)
  await clear(dir)
}

async function clear(dir: string): Promise<void> {
  for (const name of [DATABASE, walOf(DATABASE), BASES]) await rm(join(dir, name), { recursive: true, force: true })
}

/** Gives the tables what the kind has got since. */
export async function takeUpAdditions(model: OpenModel, kind: Kind): Promise<void> {
  const { db, additions } = model
  if (additions.length === 0) return
  // A transaction of its own: it holds whatever becomes of the intents, and DuckDB inserts no rows behind an ALTER.
  await transaction(db.sql, async () => {
    await addToTables(db.sql, kind, additions)
    await writeState(db.sql, { version: PART_OF_BATCH, shape: kind.shape })
  })
  model.additions = []
  model.state = { ...model.state, shape: kind.shape }
}

const createModel = ({ sql }: ModelDatabase, kind: Kind): Promise<void> =>
  transaction(sql, async () => {
    await createState(sql, kind.shape)
    await createTables(sql, kind)
  })
