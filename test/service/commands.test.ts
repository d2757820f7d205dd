import { execFile } from 'node:child_process'
import { access, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../../src/jobs/migrate.ts'
import { quiet } from '../support/control.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { createDatabase, query } from '../support/postgres.ts'
import { createModel } from '../support/sales-model.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-commands-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs the program with these arguments and settings, and with another Node where one is given. */
function teatree(args: readonly string[], env: Record<string, string> = {}, node = process.execPath): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(TEATREE_|OTEL_|PORT$|HOST$)/.test(name))
  return new Promise(resolve => {
    execFile(
      node,
      [PROGRAM, ...args],
      { env: { ...Object.fromEntries(inherited), ...env } },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      },
    )
  })
}

test('demo --once makes sales, computes goals, and prints goal and actual by site', async () => {
  const env = { PORT: '0', TEATREE_DATA_DIR: join(dir, 'demo') }
  const { code, stdout } = await teatree(['demo', '--once', '--rows', '3000'], env)
  expect(code).toBe(0)
  expect(stdout).toMatch(/Importing sales: \d{4} rows, version 5/)
  expect(stdout).toMatch(/Computing goals: [1-9]\d* cells, \d+\.\d\d in all/)
  expect(stdout).toMatch(/^London +[\d,]+\.\d\d +[\d,]+\.\d\d +\d+ {2}#/m)
  expect(stdout).toMatch(/^All sites +/m)
  expect(stdout).toMatch(/http:\/\/127\.0\.0\.1:\d+\/graphql/)
  // Started again it goes on from what is there.
  const again = await teatree(['demo', '--once'], env)
  expect(again.code).toBe(0)
  expect(again.stdout).not.toContain('Importing')
})

test('a bad setting and a bad argument end the start with one line that names it', async () => {
  await using database = await createDatabase()
  const missing = new URL(database.url)
  missing.pathname = '/missing'
  const cases: [string[], Record<string, string>, string][] = [
    [['serve'], { PORT: 'eighty' }, 'PORT: must be a whole number from 0 to 65535'],
    [['migrate'], { TEATREE_DATABASE_URL: 'postgres://127.0.0.1:1/x' }, 'TEATREE_DATABASE_URL'],
    [['migrate'], { TEATREE_DATABASE_URL: missing.href }, 'no such database'],
    [['import', PROGRAM, '--model', 'x', '--table', 'y', '--mode', 'MERGE'], {}, 'APPEND, UPSERT, REPLACE'],
    [['import', dir, '--model', 'x', '--table', 'y'], {}, dir],
    [['serve'], { TEATREE_KINDS: join(dir, 'nowhere') }, 'TEATREE_KINDS'],
    [['manager', '--model', 'x'], {}, 'TEATREE_DATABASE_URL'],
    [['serve', '--offline', join(dir, 'nowhere')], {}, '--offline'],
    [['pull', 'north'], {}, '--to'],
    [['demo', '--rows', 'many'], {}, '--rows'],
  ]
  const ended = await Promise.all(
    cases.map(([args, env]) => teatree(args, { TEATREE_DATA_DIR: join(dir, 'bad'), ...env })),
  )
  for (const [index, { code, stderr }] of ended.entries()) {
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stderr).toContain(cases[index]?.[2])
    expect(code).toBe(1)
  }
})

test('--help lists every command and setting', async () => {
  const { stdout } = await teatree(['--help'])
  for (const name of [
    'serve',
    'demo',
    'manager',
    'migrate',
    'import',
    'restore',
    'pull',
    'TEATREE_DATABASE_URL',
    'TEATREE_KINDS',
    'PORT',
  ])
    expect(stdout).toContain(name)
})

test('several processes that migrate at once leave one migrated database', async () => {
  await using database = await createDatabase()
  await Promise.all(Array.from({ length: 4 }, () => migrate(database.url, quiet)))
  const files = (await readdir(new URL('../../migrations', import.meta.url))).sort()
  expect(files.length).toBeGreaterThan(0)
  expect(await query(database.url, 'SELECT name FROM migration ORDER BY id')).toEqual(
    files.map(file => ({ name: file.replace(/\.sql$/, '') })),
  )
  const { code } = await teatree(['migrate'], { TEATREE_DATABASE_URL: database.url })
  expect(code).toBe(0)
})

test('import uploads a file and imports it, and says in one line what a refused file got wrong', async () => {
  await using platform: TestPlatform = await startPlatform()
  const model = await createModel(platform, { kind: 'sales' })
  const file = join(dir, 'sites.csv')
  await writeFile(file, 'key,title\n1,Nord\n2,Süd\n')
  const args = ['import', file, '--server', `${platform.url}/graphql`, '--model', model, '--table', 'sites']
  const imported = await teatree(['import', '--map', 'siteId=key', '--map', 'name=title', ...args.slice(1)])
  expect(imported).toMatchObject({ code: 0, stdout: 'Importing sites: version 1: 2 inserted, 0 updated, 0 deleted\n' })
  const refused = await teatree([...args, '--map', 'siteId=key', '--map', 'name=title'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('KEY_CONFLICT')
  expect(await teatree(['import', join(dir, 'no.csv'), ...args.slice(2)])).toMatchObject({ code: 1 })
  expect(
    (await teatree(['import', file, '--server', 'http://127.0.0.1:1/graphql', ...args.slice(4)])).stderr,
  ).toContain('--server')
})

const oldNode = await findOldNode()
test.skipIf(!oldNode)(
  'a Node that is too old is told in one line what to run (skipped where there is none)',
  async () => {
    const { code, stderr } = await teatree(['serve'], {}, oldNode)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^teatree needs Node 24 or newer, and this is v\d+\.\d+\.\d+\. Run: npx -y -p node@24 -c "[^"]+"\n$/,
    )
    const imports = await teatree(['import', "it's.csv", '--model', 'north'], {}, oldNode)
    const shell = /Run: (npx .+)\n$/.exec(imports.stderr)?.[1] ?? ''
    expect(shell).toBe(`npx -y -p node@24 -c "node bin/teatree.js import 'it'\\\\''s.csv' --model north"`)
  },
)

/** A Node on the PATH that is older than 24. */
async function findOldNode(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(folder, 'node')
    if (
      !(await access(node).then(
        () => true,
        () => false,
      ))
    )
      continue
    const version = await new Promise<string>(resolve => execFile(node, ['--version'], (_, stdout) => resolve(stdout)))
    if (Number(/^v(\d+)\./.exec(version)?.[1] ?? 24) < 24) return node
  }
  return undefined
}
