import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

export interface NodeProcess {
  readonly child: ChildProcess
  /** The lines of standard output, as they come. */
  readonly lines: AsyncIterator<string>
  /** Settles when the process has ended; `code` is null where a signal ended it. */
  readonly ended: Promise<{ code: number | null; stdout: string[]; stderr: string }>
}

/**
 * Runs `source`, a module that imports relative to the project's root, in a Node process of its own. It inherits the
 * environment but for what would start telemetry in it, and gets `env` besides.
 */
export function runNode(source: string, env: Readonly<Record<string, string>> = {}): NodeProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(OTEL_|NODE_OPTIONS$|VITEST)/.test(name))
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: new URL('../..', import.meta.url),
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const stdout: string[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', line => stdout.push(line))
  const lines = reader[Symbol.asyncIterator]()
  const ended = Promise.all([once(child, 'close'), text(child.stderr)]).then(([[code], stderr]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }))
  return { child, lines, ended }
}
