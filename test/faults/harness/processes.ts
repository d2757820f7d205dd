import { readdir, readFile } from 'node:fs/promises'

export interface Running {
  pid: number
  parent: number
  command: string
  isStopped: boolean
}

/** The processes whose environment has `dir` in it: those of one platform, and what they have started. (Linux) */
export async function processesOf(dir: string): Promise<Running[]> {
  const found = await Promise.all(
    (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(pid => look(pid, dir)),
  )
  return found.filter(each => each !== null)
}

async function look(pid: string, dir: string): Promise<Running | null> {
  try {
    if (Number(pid) === process.pid) return null
    const env = await readFile(`/proc/${pid}/environ`, 'utf8')
    if (!env.includes(dir)) return null
    const [command, stat] = await Promise.all(['cmdline', 'stat'].map(file => readFile(`/proc/${pid}/${file}`, 'utf8')))
    const [state, parent] = `${stat}`.slice(`${stat}`.lastIndexOf(')') + 2).split(' ')
    return state === 'Z'
      ? null
      : {
          pid: Number(pid),
          parent: Number(parent),
          command: `${command}`.replaceAll('\0', ' '),
          isStopped: state === 'T',
        }
  } catch {
    return null
  }
}

export const isManager = ({ command }: Running): boolean => / manager( |$)/.test(command)

/** Whether it was there to be told. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

/** Sends it to all processes of a platform that are so; says whether there were any. */
export async function signalAll(dir: string, name: NodeJS.Signals, which = (_: Running) => true): Promise<boolean> {
  const all = (await processesOf(dir)).filter(which)
  for (const { pid } of all) signal(pid, name)
  return all.length > 0
}
