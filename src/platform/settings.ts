import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { UsageError } from './errors.ts'

/** Digits alone: Number takes ' ', 0x50 and 1e3 too, and a number that nobody meant. */
const whole = (least: number, most: number) =>
  z
    .string()
    .refine(text => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most, {
      error: `must be a whole number from ${least} to ${most}`,
    })
    .transform(Number)
const MEBIBYTE = 2 ** 20
const directory = z
  .string()
  .min(1)
  .transform(path => resolve(path))

const MAX_ROWS = 1_000_000_000_000

/** Every setting: what it is, in one table, from which `teatree --help` is printed too. */
const SETTINGS = {
  PORT: { type: whole(0, 65_535).default(4000), what: 'port to listen on; 0 takes a free one', standard: '4000' },
  HOST: { type: z.string().min(1).default('127.0.0.1'), what: 'address to listen on', standard: '127.0.0.1' },
  TEATREE_PUBLIC_URL: {
    type: z
      .url({ protocol: /^https?$/, error: 'must be http://host or https://host, with a path where there is one' })
      .refine(url => !/[?#]/.test(url), { error: 'must have neither ? nor #' })
      .transform(url => url.replace(/\/+$/, ''))
      .optional(),
    what: 'where clients reach it, for links to files: the address of the proxy before it, say',
    standard: 'where it listens',
  },
  TEATREE_DATA_DIR: {
    type: directory.default(resolve('.teatree')),
    what: 'model files, snapshots, embedded database',
    standard: '.teatree',
  },
  TEATREE_DATABASE_URL: {
    type: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }).optional(),
    what: 'PostgreSQL 15 or newer; without it one of its own in the data directory',
    standard: 'none',
  },
  TEATREE_STORE_URL: {
    type: z.url({ protocol: /^(file|s3)$/, error: 'must be file:///path or s3://bucket/prefix' }).optional(),
    what: 'object store for archives and uploads: file:///path or s3://bucket/prefix, then with the AWS_* variables',
    standard: 'file:// in the data directory',
  },
  TEATREE_KINDS: { type: directory.optional(), what: 'directory of further model kinds', standard: 'none' },
  TEATREE_MANAGERS: {
    type: whole(1, 256).default(availableParallelism()),
    what: 'local manager processes',
    standard: 'one per core',
  },
  TEATREE_PAGED_DISK: {
    type: whole(0, 1000).default(8),
    what: 'disk for versions that are kept while somebody pages there, as a multiple of the size of their model',
    standard: '8',
  },
  TEATREE_ARCHIVES: {
    type: whole(1, 1000).default(3),
    what: 'archives that are kept of each model: the newest so many, and those that anything kept is made again from',
    standard: '3',
  },
  TEATREE_COMPLETIONS: {
    type: whole(1, 1_000_000_000).default(100_000),
    what: 'completions that are kept of each model, for subscribers who go on from a cursor',
    standard: '100000',
  },
  TEATREE_COMPLETION_DAYS: {
    type: whole(1, 36_500).default(7),
    what: 'days that they are kept at most',
    standard: '7',
  },
  TEATREE_QUERY_MEMORY: {
    type: whole(64, 1_048_576).default(1024),
    what: 'MiB of memory that one SQL statement or query run may take',
    standard: '1024',
  },
  TEATREE_SQL_PROCESSES: {
    type: whole(1, 256).default(Math.max(2, availableParallelism())),
    what: 'SQL statements that run at once',
    standard: 'one per core, at least 2',
  },
  TEATREE_SQL_SECONDS: {
    type: whole(1, 86_400).default(30),
    what: 'time that one SQL statement may take',
    standard: '30',
  },
  TEATREE_SQL_ROWS: {
    type: whole(1, 1_000_000_000).default(1_000_000),
    what: 'rows that the result of one SQL statement may have, over all pages',
    standard: '1000000',
  },
  TEATREE_SQL_MB: {
    type: whole(1, 1_048_576).default(256),
    what: 'MiB that its file and its texts may have',
    standard: '256',
  },
  TEATREE_RUN_PROCESSES: { type: whole(0, 256).default(2), what: 'query runs that run at once here', standard: '2' },
  TEATREE_RUN_SECONDS: {
    type: whole(1, 604_800).default(3600),
    what: 'time that one query run may take',
    standard: '3600',
  },
  TEATREE_RUN_ROWS: {
    type: whole(1, MAX_ROWS).default(100_000_000),
    what: 'rows that the result of one query run may have',
    standard: '100000000',
  },
  TEATREE_RUN_MB: {
    type: whole(1, 1_048_576).default(4096),
    what: 'MiB that its file and its texts may have',
    standard: '4096',
  },
  TEATREE_RUN_HOURS: {
    type: whole(1, 8760).default(24),
    what: 'hours that the result of a query run is kept',
    standard: '24',
  },
  TEATREE_AUTH: {
    type: z.enum(['off'], { error: 'must be off: this release serves a loopback HOST only' }).default('off'),
    what: 'who may call; off is for a loopback HOST alone',
    standard: 'off',
  },
} as const

export interface Settings {
  port: number
  host: string
  /** Without a slash at its end; undefined: where it listens. */
  publicUrl: string | undefined
  dataDir: string
  /** Undefined: the embedded one. */
  databaseUrl: string | undefined
  storeUrl: string
  kindsDir: string | undefined
  managers: number
  /** Multiple of a model's size. */
  pagedDisk: number
  /** How many archives of a model are kept. */
  archives: number
  /** How much is kept of each model's log of what has ended. */
  completions: { entries: number; days: number }
  queries: QuerySettings
  auth: 'off'
}

/** What is granted to queries that run in processes of their own. */
export interface QuerySettings {
  /** Of each. */
  memoryBytes: number
  sql: QueryGrant
  runs: QueryGrant & {
    /** How long results are kept. */
    keptSeconds: number
  }
}
export interface QueryGrant {
  /** At once, in this process. */
  places: number
  seconds: number
  rows: number
  /** Of a result. */
  bytes: number
}

/** Lines for `--help`: name, default, what it is. */
export const settingsHelp = (): string =>
  Object.entries(SETTINGS)
    .map(([name, { what, standard }]) => `  ${name.padEnd(23)} ${what} (default: ${standard})`)
    .join('\n')

/** What is let be among TEATREE_*: the tests' own, and what Kubernetes sets for a service of that name. */
const OTHERS = /^TEATREE_(TEST_|SERVICE_|PORT)/

/**
 * The settings in `env`. An unknown TEATREE_* name, a bad value, or a HOST that others can reach without TEATREE_AUTH
 * is a UsageError of one line that names it.
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  for (const name of Object.keys(env))
    if (name.startsWith('TEATREE_') && !(name in SETTINGS) && !OTHERS.test(name))
      throw new UsageError(`${name} is not a setting; teatree --help lists them all`)
  const read = <N extends keyof typeof SETTINGS>(name: N): z.output<(typeof SETTINGS)[N]['type']> => {
    // An empty variable is one that is not set, as in most shells' habits.
    const result = SETTINGS[name].type.safeParse(env[name] === '' ? undefined : env[name])
    if (!result.success) throw new UsageError(`${name}: ${result.error.issues[0]?.message ?? 'bad value'}`)
    return result.data as z.output<(typeof SETTINGS)[N]['type']>
  }
  const host = read('HOST')
  if (!/^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host))
    throw new UsageError(`HOST=${host} can be reached by others, and TEATREE_AUTH=off protects nothing: use 127.0.0.1`)
  const dataDir = read('TEATREE_DATA_DIR')
  return {
    port: read('PORT'),
    host,
    publicUrl: read('TEATREE_PUBLIC_URL'),
    dataDir,
    databaseUrl: read('TEATREE_DATABASE_URL'),
    storeUrl: read('TEATREE_STORE_URL') ?? pathToFileURL(resolve(dataDir, 'store')).href,
    kindsDir: read('TEATREE_KINDS'),
    managers: read('TEATREE_MANAGERS'),
    pagedDisk: read('TEATREE_PAGED_DISK'),
    archives: read('TEATREE_ARCHIVES'),
    completions: { entries: read('TEATREE_COMPLETIONS'), days: read('TEATREE_COMPLETION_DAYS') },
    queries: {
      memoryBytes: read('TEATREE_QUERY_MEMORY') * MEBIBYTE,
      sql: {
        places: read('TEATREE_SQL_PROCESSES'),
        seconds: read('TEATREE_SQL_SECONDS'),
        rows: read('TEATREE_SQL_ROWS'),
        bytes: read('TEATREE_SQL_MB') * MEBIBYTE,
      },
      runs: {
        places: read('TEATREE_RUN_PROCESSES'),
        seconds: read('TEATREE_RUN_SECONDS'),
        rows: read('TEATREE_RUN_ROWS'),
        bytes: read('TEATREE_RUN_MB') * MEBIBYTE,
        keptSeconds: read('TEATREE_RUN_HOURS') * 3600,
      },
    },
    auth: read('TEATREE_AUTH'),
  }
}
