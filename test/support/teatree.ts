import { execFile } from 'node:child_process'
import { environment, PROGRAM } from './manager-process.ts'

export interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs the program to its end with these arguments and settings. */
export function teatree(args: readonly string[], settings: Record<string, string> = {}): Promise<Ended> {
  return new Promise(resolve => {
    execFile(process.execPath, [PROGRAM, ...args], { env: environment(settings) }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
    })
  })
}
