import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { comesTrue } from '../../support/comes-true.ts'
import type { Deployment } from './deployment.ts'
import { isManager, processesOf } from './processes.ts'

/** What a process of the platform holds. */
interface Footprint {
  pid: number
  is: 'server' | 'manager'
  descriptors: number
  mebibytes: number
  /** So many files of the data directory it has open that have no name any more: their room on the disk is not free. */
  gone: number
}

const PAGE_BYTES = 4096
/** What connections come and go with, and what a heap that has been at work keeps for itself. */
const MORE_DESCRIPTORS = 64
const MORE_MEBIBYTES = 512
const REST_MS = 60_000

export async function footprints({ dir, dataDir }: Deployment): Promise<Footprint[]> {
  const running = await processesOf(dir)
  const found = running.map(async process => {
    const of = `/proc/${process.pid}`
    const [names, statm] = await Promise.all([readdir(`${of}/fd`), readFile(`${of}/statm`, 'utf8')])
    const links = await Promise.all(names.map(name => readlink(`${of}/fd/${name}`).catch(() => '')))
    const data = names.filter((_, index) => links[index]?.startsWith(dataDir))
    const open = await Promise.all(data.map(name => stat(`${of}/fd/${name}`)))
    return {
      pid: process.pid,
      is: isManager(process) ? ('manager' as const) : ('server' as const),
      descriptors: links.length,
      mebibytes: Math.round((Number(statm.split(' ')[1]) * PAGE_BYTES) / 2 ** 20),
      gone: open.filter(({ nlink }) => nlink === 0).length,
    }
  })
  // Some end while they are looked at.
  return (await Promise.allSettled(found)).flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
}

/** What processes that have nothing to do hold more than those of the base did, before anything went wrong. */
export async function overBase(deployment: Deployment, base: readonly Footprint[]): Promise<string[]> {
  let over: string[] = []
  await comesTrue(async () => {
    over = (await footprints(deployment)).flatMap(now => excess(now, base))
    return over.length === 0
  }, REST_MS)
  return over
}

function excess({ is, pid, gone, ...now }: Footprint, base: readonly Footprint[]): string[] {
  const alike = base.filter(each => each.is === is)
  const most = (what: 'descriptors' | 'mebibytes') =>
    Math.max(...(alike.length > 0 ? alike : base).map(each => each[what]))
  const over = (what: 'descriptors' | 'mebibytes', more: number) =>
    now[what] > most(what) + more ? [`${now[what]} ${what} of ${is} ${pid}, which were ${most(what)}`] : []
  return [
    ...over('descriptors', MORE_DESCRIPTORS),
    ...over('mebibytes', MORE_MEBIBYTES),
    ...(gone > 0 ? [`${is} ${pid} has ${gone} files open that have been removed`] : []),
  ]
}
