import { readFile } from 'node:fs/promises'

/**
 * Bytes of memory that the process has to itself, as Linux tells; elsewhere nobody does, and 0. What it has mapped of files is not among
 * them: the system takes that back when somebody needs the room, and a version that is mapped may be larger than all bounds.
 */
export async function ownMemory(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const bytes = (name: string) => {
    const [, kilobytes] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
    return kilobytes === undefined ? null : Number(kilobytes) * 1024
  }
  const anonymous = bytes('RssAnon')
  // Not every system tells the two apart.
  return anonymous === null ? (bytes('VmRSS') ?? 0) : anonymous + (bytes('RssShmem') ?? 0)
}
