import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Home } from './home.ts'

const execute = promisify(execFile)

/** How many lines of a program's output go into an error. */
const TAIL_LINES = 6

/** A program ended in failure or could not be run; the message is the end of what it said, on one line. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
}

/**
 * What PostgreSQL's programs see of our environment: nothing that could steer them (PGDATA, PGOPTIONS, TZ …), and
 * messages in English, in the log and in errors.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
}

/** Under which account and where a program of the server runs. */
export function programOptions(home: Home): { cwd: string; uid?: number; gid?: number } {
  // The caller's working directory may be closed to the server's account.
  return { cwd: home.path, ...(home.account && { uid: home.account.uid, gid: home.account.gid }) }
}

/** Runs a program to its end and returns its standard output. Throws ProgramError. */
export async function runProgram(home: Home, file: string, args: readonly string[]): Promise<string> {
  try {
    return (await execute(file, args, { ...programOptions(home), env: programEnvironment() })).stdout
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: string; stderr?: string }
    throw new ProgramError(lastLines(stderr ?? '') || lastLines(stdout ?? '') || message, { cause: error })
  }
}

/** The last lines of a text that say something, joined into one: errors are one line. */
export function lastLines(text: string): string {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .slice(-TAIL_LINES)
    .join(' | ')
}
