import { chmod, mkdir, mkdtemp, readlink, realpath, rmdir, stat, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UsageError } from '../errors.ts'
import { type Account, chooseAccount, closedTo, ENTER } from './account.ts'

/** Where homes are made that cannot be in the folder they belong to. */
const ELSEWHERE = '/var/lib/teatree'

/** Where the server's files lie, and who owns them. */
export interface Home {
  /** Absolute, without links. */
  readonly path: string
  /** undefined: our own account. */
  readonly account: Account | undefined
}

/**
 * The home of the server of `dir`: `dir` itself. Only where we are root and the server's account cannot enter `dir`
 * (a clone in /root, or made with umask 077) the home is elsewhere and `dir/home` a link to it; nobody's folders are
 * opened up but those made here.
 */
export async function openHome(dir: string, log: (line: string) => void): Promise<Home> {
  if (process.platform === 'win32') {
    throw new UsageError(
      'The embedded PostgreSQL runs on Linux and macOS; set TEATREE_DATABASE_URL to a server of yours',
    )
  }
  const root = process.getuid?.() === 0
  await makeFolder(dir, root)
  const here = await realpath(dir)
  const moved = await readlink(join(here, 'home')).catch(() => undefined)
  const path = moved ?? here
  const owner = await stat(join(path, 'cluster')).catch(() => undefined)
  if (!root) {
    if (owner && owner.uid !== process.getuid?.()) {
      throw new UsageError(
        `The database in ${path} is owned by user ${owner.uid}: start Teatree as that user, or as root`,
      )
    }
    return { path, account: undefined }
  }
  if (owner?.uid === 0) {
    throw new UsageError(`The database in ${path} is owned by root, and PostgreSQL does not run as root: chown -R it`)
  }
  // Data that is there stays with its owner, whoever would be chosen today.
  const account = owner ? { uid: owner.uid, gid: owner.gid, name: `user ${owner.uid}` } : await chooseAccount()
  const closed = await closedTo(account, path, ENTER)
  if (closed === undefined) return { path, account }
  if (moved || owner) throw closedError(account, closed)
  await moveHome(here, account, closed)
  const home = await openHome(dir, log)
  log(`PostgreSQL runs as ${account.name}, who may not enter ${closed}: its files are in ${home.path}`)
  return home
}

/** Makes a home elsewhere and links to it. Two may try at once: the link is made once, and the other home is given up. */
async function moveHome(here: string, account: Account, closed: string): Promise<void> {
  try {
    await makeFolder(ELSEWHERE, true)
  } catch (error) {
    throw closedError(account, closed, error)
  }
  if ((await closedTo(account, ELSEWHERE, ENTER)) !== undefined) throw closedError(account, closed)
  const home = await mkdtemp(join(ELSEWHERE, 'postgres-'))
  await letThrough(home)
  try {
    await symlink(home, join(here, 'home'))
  } catch (error) {
    await rmdir(home)
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function closedError(account: Account, closed: string, cause?: unknown): UsageError {
  return new UsageError(
    `PostgreSQL does not run as root but as ${account.name}, who may not enter ${closed}: chmod o+x ${closed}, ` +
      'set TEATREE_DATA_DIR to a folder that is open to all, or start Teatree as another user',
    { cause },
  )
}

/** Makes a folder and its parents; as root, what was made, and the folder itself, can be passed through by all. */
async function makeFolder(path: string, open: boolean): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (!open) return
  const top = first ?? path
  for (let made = path; made.length >= top.length; made = dirname(made)) await letThrough(made)
}

async function letThrough(path: string): Promise<void> {
  const { mode } = await stat(path)
  // Only where it changes something: the folder may be on a read-only or foreign file system.
  if ((mode & 0o111) !== 0o111) await chmod(path, mode | 0o111)
}
