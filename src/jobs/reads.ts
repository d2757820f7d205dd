import { join } from 'node:path'
import type { Checksums, SnapshotRef } from '../engine/engine.ts'
import { TeatreeError } from '../platform/errors.ts'
import { type Database, type Transaction, unestimated } from '../platform/postgres.ts'
import type { ReadRequest } from './functions.ts'
import { areThere, markLost, VersionLost } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import { Fenced } from './publish.ts'
import { columns } from './records.ts'

/** The models that a model reads, with their kinds, in the order of their ids. */
export function readModels(db: Database, model: string): Promise<{ id: string; kind: string }[]> {
  return db.query(
    `SELECT m.id, m.kind FROM model_read r JOIN goal_model m ON m.id = r.reads WHERE r.model = $1 ORDER BY m.id`,
    [model],
  )
}

/** An intent that a model's manager has taken. */
interface TakenIntent {
  model: string
  epoch: number
  intent: string
}

/**
 * Says which versions of other models the intent reads, in the ledger and before it is applied; from then on they are
 * kept. An intent that runs again reads the same ones. BAD_VALUE where a model is not among the reads, SNAPSHOT_GONE
 * or SNAPSHOT_NOT_YET where it has no such version. Throws Fenced where the epoch is over, or the intent is not RUNNING.
 */
export async function pinReads(
  db: Database,
  dataDir: string,
  of: TakenIntent & { requests: readonly ReadRequest[]; reads: readonly { id: string }[] },
): Promise<PinnedRef[]> {
  const allowed = new Set(of.reads.map(({ id }) => id))
  for (const { alias, model } of of.requests)
    if (!allowed.has(model))
      throw new TeatreeError('BAD_VALUE', `${alias}: model ${model} is not among the models that this one reads.`)
  const pinned = await db.transaction(async tx => {
    // Both go out at once and are run in this order: what is pinned for an intent that is not held is taken back.
    const holding = holdTaken(tx, of)
    const pinning = pin(tx, of.intent, of.requests)
    pinning.catch(() => {})
    await holding
    return pinning
  })
  return pinned.map(read => ({
    ...read,
    files: new ModelFiles(dataDir, read.model).snapshotFiles(read, Object.keys(read.checksums)),
  }))
}

/**
 * Where a crash of PostgreSQL has lost that the intent was taken, it is QUEUED: a version that is published now starts
 * nothing beside it, and must be what it reads when it is taken again. With what is written behind this, that it is
 * RUNNING is on disk.
 */
async function holdTaken(tx: Transaction, { model, epoch, intent }: TakenIntent): Promise<void> {
  const held = await tx.query(
    `SELECT m.id FROM goal_model m JOIN intent i ON i.id = $3
      WHERE m.id = $1 AND m.epoch = $2 AND ${unestimated("i.model = m.id AND i.status = 'RUNNING'")}
        FOR NO KEY UPDATE OF m`,
    [model, epoch, intent],
  )
  if (held.length === 0) throw new Fenced(`intent ${intent} of model ${model} is no longer run by epoch ${epoch}`)
}

/** A version that is read, and of which epoch its files are. */
interface PinnedRef extends SnapshotRef {
  epoch: number
  lost: boolean
}

/** Sees that the files of what is read are there. UNAVAILABLE while they are made again from the archive. */
export async function filesOfReads(db: Database, refs: readonly PinnedRef[]): Promise<SnapshotRef[]> {
  for (const ref of refs) {
    if (!ref.lost && (await areThere(Object.values(ref.files)))) continue
    await markLost(db, ref)
    throw new VersionLost(ref)
  }
  return [...refs]
}

interface Pinned {
  alias: string
  model: string
  kind: string
  version: number
  epoch: number
  lost: boolean
  checksums: Checksums
}

/** The part of `pinReads` that says what is read, whoever runs the intent; in the order of the requests. */
export async function pin(tx: Transaction, intent: string, requests: readonly ReadRequest[]): Promise<Pinned[]> {
  const [, pinned] = await Promise.all([
    // FOR SHARE waits for one who lets versions go, and makes him wait: what is chosen here is still kept afterwards.
    tx.query(
      `INSERT INTO intent_read (intent, alias, model, version)
       SELECT $1, r.alias, v.model, v.version
         FROM json_to_recordset($2) AS r (alias text, model text, version integer)
         JOIN LATERAL (
           SELECT v.model, v.version FROM model_version v JOIN goal_model m ON m.id = v.model
            WHERE v.model = r.model AND v.version = coalesce(r.version, m.version) AND v.kept FOR SHARE OF v) v ON true
       ON CONFLICT DO NOTHING`,
      [intent, JSON.stringify(requests)],
    ),
    tx.query<Pinned>(
      `SELECT r.alias, r.model, m.kind, r.version, v.epoch, v.lost, ${columns.checksums('r', 'm')}
         FROM intent_read r JOIN goal_model m ON m.id = r.model
         JOIN model_version v ON v.model = r.model AND v.version = r.version
        WHERE r.intent = $1 AND v.kept AND m.deleted_at IS NULL`,
      [intent],
    ),
  ])
  const found: Pinned[] = []
  for (const request of requests) {
    const read = pinned.find(({ alias }) => alias === request.alias)
    if (!read) throw await missing(tx, request)
    found.push(read)
  }
  return found
}

async function missing(tx: Transaction, { model, version }: ReadRequest): Promise<TeatreeError> {
  const [row] = await tx.query<{ version: number }>(
    'SELECT version FROM goal_model WHERE id = $1 AND deleted_at IS NULL',
    [model],
  )
  if (!row) return new TeatreeError('SNAPSHOT_GONE', `Model ${model} was deleted.`)
  // The newest as the statement began had been let go by the time it was locked: there is a newer one.
  if (version === null)
    return new TeatreeError('UNAVAILABLE', `Model ${model} publishes too quickly; it is tried again.`)
  return version > row.version
    ? new TeatreeError(
        'SNAPSHOT_NOT_YET',
        `Model ${model} has no version ${version} yet; its newest is ${row.version}.`,
      )
    : new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is no longer kept.`)
}

/** Where an import's upload is put while it is read. */
export const importPath = (scratch: string, intent: string, format: string) =>
  join(scratch, `import-${intent}.${format.toLowerCase()}`)
