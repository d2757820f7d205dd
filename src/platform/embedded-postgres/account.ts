import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { UsageError } from '../errors.ts'

const execute = promisify(execFile)

/** Made where a machine has none of those that serve. */
const OWN_ACCOUNT = 'teatree'

/** The operating system's account under which the server runs when we are root: PostgreSQL refuses to be root. */
export interface Account {
  readonly uid: number
  readonly gid: number
  /** For messages. */
  readonly name: string
}

/** An unprivileged account for the server: `postgres`, else `nobody`, else one of our own, made now. */
export async function chooseAccount(): Promise<Account> {
  for (const name of ['postgres', 'nobody', OWN_ACCOUNT]) {
    const account = await findAccount(name)
    if (account) return account
  }
  const failed = await execute('useradd', ['--system', '--user-group', '--shell', '/bin/false', OWN_ACCOUNT]).then(
    () => undefined,
    (error: unknown) => error,
  )
  // Also after a failure: another start may have been faster.
  const account = await findAccount(OWN_ACCOUNT)
  if (account) return account
  throw new UsageError(
    'PostgreSQL does not run as root, and there is no user "postgres" or "nobody" to run it as: ' +
      'add one, start Teatree as another user, or set TEATREE_DATABASE_URL',
    { cause: failed },
  )
}

/** By `id`, so that accounts count that are not in /etc/passwd. */
async function findAccount(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async flag => Number((await execute('id', [flag, name])).stdout)),
    )
    return uid && gid ? { uid, gid, name } : undefined
  } catch {
    return undefined
  }
}

/** Permission bits, as in the mode of a file. */
export const READ = 4
export const ENTER = 1

/**
 * The first folder on the way to `path`, or `path` itself, that is closed to the account: folders must let it through,
 * `path` must grant `bits`. undefined where it can get there. Access lists are not looked at, so the answer can be too
 * strict, never too lax.
 */
export async function closedTo(account: Account, path: string, bits: number): Promise<string | undefined> {
  const parent = dirname(path)
  const closed = parent === path ? undefined : await closedTo(account, parent, ENTER)
  if (closed !== undefined) return closed
  const { uid, gid, mode } = await stat(path)
  const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0
  return ((mode >> shift) & bits) === bits ? undefined : path
}
