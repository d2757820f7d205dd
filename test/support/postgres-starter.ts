import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

/** A process of its own that starts the embedded server of a folder and stays, until it is killed or disposed of. */
export interface Starter extends AsyncDisposable {
  readonly process: ChildProcess
  /** What the start came to: the server, or the error's name and message. */
  readonly started: Promise<{ url: string; adopted: boolean } | { name: string; message: string }>
}

const SCRIPT = `
  const say = answer => process.stdout.write(JSON.stringify(answer) + '\\n')
  try {
    const { startEmbeddedPostgres } = await import(process.argv[1])
    const { url, adopted } = await startEmbeddedPostgres({ dir: process.argv[2], log() {} })
    say({ url, adopted })
  } catch ({ name, message }) {
    say({ name, message })
  }
  setInterval(() => {}, 60_000)
`

/**
 * `entry` is the file of `startEmbeddedPostgres`, in this tree or a copy; the process leads a group of its own, so that
 * it can be killed with the programs that it runs.
 */
export function spawnStarter(entry: string, dir: string, account: { uid?: number; gid?: number } = {}): Starter {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, pathToFileURL(entry).href, dir], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const failed = once(child, 'error').then(([error]) => Promise.reject(error))
  const line = once(createInterface(child.stdout), 'line').then(([text]) => JSON.parse(String(text)))
  const started = Promise.race([line, failed])
  const starter = { process: child, started, [Symbol.asyncDispose]: () => killStarter(starter) }
  return starter
}

/** kill -9, of the process alone or with its group, and waits until it is gone. */
export async function killStarter({ process: child }: Pick<Starter, 'process'>, group = false): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  process.kill(group ? -child.pid : child.pid, 'SIGKILL')
  await gone
}
