import { appendFileSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The steps of the way of the data between which a process may die, in its order. What is in a name is what has just
 * been done.
 */
export const KILL_POINTS = [
  'upload.put',
  'submit.inserted',
  'submit.accepted',
  'cancel.written',
  'lease.acquired',
  'batch.taken',
  'batch.taken-behind',
  'batch.prepared',
  'duckdb.applied',
  'duckdb.committed',
  'duckdb.checkpointed',
  'duckdb.linked',
  'arrow.applied',
  'arrow.linked',
  'snapshot.made',
  'publish.written',
  'publish.committed',
  'batch.given-back',
  'archive.exported',
  'archive.put',
  'archive.manifest',
  'archive.marked',
  'versions.unkept',
  'versions.removed',
  'lease.released',
] as const
export type KillPoint = (typeof KILL_POINTS)[number]

/** Where the fault harness says what is to happen; nothing does where this is not set. */
const folder = process.env.TEATREE_TEST_KILL_POINTS
const reached = new Set<KillPoint>()

/**
 * Nothing, but in the fault harness: there, a file of the point's name in the folder that TEATREE_TEST_KILL_POINTS names
 * says what happens to the process that comes here first, and is gone then:
 *
 *   kill       it dies at once             block MS   its event loop stands still
 *   stop       it is frozen                fail CODE  what it was about to do fails: ENOSPC, EIO
 */
export function reach(point: KillPoint): void {
  if (folder === undefined) return
  if (!reached.has(point)) {
    reached.add(point)
    note(folder, 'reached', point)
  }
  const order = claimed(folder, point)
  if (order === null) return
  note(folder, 'hit', `${point} ${order} ${process.pid}`)
  obey(point, order)
}

function obey(point: KillPoint, order: string): void {
  const [what, value = ''] = order.split(' ')
  if (what === 'kill') process.kill(process.pid, 'SIGKILL')
  if (what === 'stop') process.kill(process.pid, 'SIGSTOP')
  if (what === 'block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(value))
  if (what === 'fail') throw Object.assign(new Error(`${value}: at ${point}`), { code: value })
}

/** What is to happen here, and is now for no other process; null where nothing is. */
function claimed(dir: string, point: KillPoint): string | null {
  const claim = join(dir, `${point}.${process.pid}`)
  try {
    renameSync(join(dir, point), claim)
    return readFileSync(claim, 'utf8').trim()
  } catch {
    return null
  }
}

function note(dir: string, name: string, line: string): void {
  appendFileSync(join(dir, name), `${line}\n`)
}
