import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FromManager, ToManager } from '../../src/jobs/messages.ts'

export const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))

/** The settings of a process of the platform: the environment without settings of ours or of OpenTelemetry's, and these. */
export function environment(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(TEATREE_|OTEL_|PORT$|HOST$|VITEST)/.test(name))
  return { ...Object.fromEntries(inherited), ...settings }
}

/** A manager as a process of its own, told over its channel what to hold, as its launcher would. */
export interface ManagerProcess extends AsyncDisposable {
  readonly child: ChildProcess
  hold(model: string): Promise<boolean>
  /** Settles when it says that it holds the model no longer. */
  released(model: string): Promise<void>
}

export async function startManagerProcess(env: NodeJS.ProcessEnv): Promise<ManagerProcess> {
  const child = fork(PROGRAM, ['manager', '--local', 'manager-of-test'], {
    env,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const heard: FromManager[] = []
  child.on('message', message => heard.push(message as FromManager))
  const answer = async <T>(find: (message: FromManager) => T | undefined): Promise<T> => {
    for (;;) {
      const found = heard.map(find).find(answer => answer !== undefined)
      if (found !== undefined) return found
      await once(child, 'message')
    }
  }
  await answer(message => (message.is === 'ready' ? true : undefined))
  return {
    child,
    hold(model) {
      heard.length = 0
      child.send({ is: 'hold', model, apart: null } satisfies ToManager)
      return answer(message =>
        (message.is === 'held' || message.is === 'refused') && message.model === model
          ? message.is === 'held'
          : undefined,
      )
    },
    async released(model) {
      await answer(message => (message.is === 'released' && message.model === model ? true : undefined))
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      // Also a process that is stopped ends by it.
      child.kill('SIGKILL')
      await exit
    },
  }
}
