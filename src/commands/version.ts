import { createRequire } from 'node:module'

/** Of this release, in a file that loads nothing else: the command line tells it before it knows what it is to run. */
export const VERSION: string = createRequire(import.meta.url)('../../package.json').version
