import { mkdir, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../../platform/errors.ts'

/** Processes that have so much memory together, and no swap: a control group of Linux. It ends with its last process. */
export interface MemoryGroup extends AsyncDisposable {
  /** The file that a process writes its number into to be one of them. */
  processes: string
}

/** Where the system has control groups, by what it calls their bound: version 2, or version 1. */
const HIERARCHIES = [
  { root: '/sys/fs/cgroup', bounds: ['memory.max'], noSwap: { 'memory.swap.max': '0' } },
  { root: '/sys/fs/cgroup/memory', bounds: ['memory.limit_in_bytes'], noSwap: { 'memory.swappiness': '0' } },
] as const

/**
 * Node tells such a bound as the machine's memory, so that whoever goes by that keeps within it, and the system ends who does not.
 * Pages of files that are mapped, or cached, count as long as they are there: the system takes them back where somebody needs the room.
 * @throws UsageError where the system has no groups, or this user may not make one
 */
export async function makeMemoryGroup(bytes: number): Promise<MemoryGroup> {
  for (const { root, bounds, noSwap } of HIERARCHIES) {
    const dir = join(root, `teatree-compare-${process.pid}`)
    if (
      !(await mkdir(dir).then(
        () => true,
        () => false,
      ))
    )
      continue
    try {
      // Where it is a folder like others, nothing is written to it: it could not be removed then.
      const processes = join(dir, 'cgroup.procs')
      await stat(processes)
      for (const name of bounds) await writeFile(join(dir, name), String(bytes))
      for (const [name, value] of Object.entries(noSwap)) await writeFile(join(dir, name), value).catch(() => {})
      return { processes, [Symbol.asyncDispose]: () => rmdir(dir) }
    } catch {
      await rmdir(dir).catch(() => {})
    }
  }
  throw new UsageError(
    '--memory needs Linux and the right to make control groups: run it as root, or without it as systemd-run --user --scope -p MemoryMax=512M npx teatree compare …',
  )
}
