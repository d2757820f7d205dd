import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { answersDiffer } from '../../src/commands/compare/equality.ts'
import { type CompareOptions, readOptions } from '../../src/commands/compare/options.ts'
import { report } from '../../src/commands/compare/report.ts'
import { loadKinds } from '../../src/kinds/registry.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/teatree.js', import.meta.url))

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-comparing-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, 'compare', ...args], {
    // What it needs on disk is in a folder that is looked into.
    env: { ...process.env, TMPDIR: dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return { child, out: text(child.stdout), err: text(child.stderr), ended: once(child, 'exit') }
}

async function compare(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { out, err, ended } = start(args)
  const [code] = await ended
  return { code: Number(code), out: await out, err: await err }
}

test('the same functions and queries on both engines come to the same cells, and leave nothing behind', async () => {
  const given = '{"spread":"EVEN","total":"500.05"}'
  const { code, out, err } = await compare('--rows', '1e3', '--json', '--function', 'adjustGoals', '--arguments', given)
  // Told on standard error, so that what is printed is JSON alone.
  expect(err).toMatch(/^Comparing: 1\d{3} sales\n$/)
  expect(code).toBe(0)
  const { outcomes } = JSON.parse(out)
  expect(outcomes).toHaveLength(1)
  const [{ differences, compared, measured }] = outcomes
  expect(differences).toEqual([])
  expect(compared).toMatchObject({ runs: 2, sites: 10 })
  expect(compared.goals).toBeGreaterThan(1000)
  expect(compared.answers).toBeGreaterThan(100)
  const names = measured.map(({ name }: { name: string }) => name)
  expect(names).toEqual(['import', 'computeGoals', 'adjustGoals', 'queries', 'writes'])
  for (const { engines } of measured)
    for (const engine of ['DUCKDB', 'ARROW']) expect(engines[engine]['memory bytes']).toBeGreaterThan(10e6)
  const text = report(outcomes[0])
  expect(text).toMatch(/1,\d{3} sales +DUCKDB +ARROW/)
  expect(text).toMatch(/EQUAL, every cell: [\d,]+ goals, [\d,]+ actuals, 2 runs, 10 sites/)
  for (const figure of [
    'import ms',
    'function ms',
    'publish ms',
    'disk MB',
    'memory MB',
    'append of 10',
    'update of 500',
  ])
    expect(text).toContain(figure)
  expect(await leftBehind()).toEqual([])
}, 600_000)

test('what differs is said, and what was ended for want of memory', () => {
  const outcome = { sales: 1000, measured: [], compared: { goals: 3 } }
  expect(report({ ...outcome, differences: ['goals: 2 rows'] })).toMatch(/DIFFERENT\n {2}goals: 2 rows/)
  const measured = [
    { name: 'import', engines: { DUCKDB: { 'import ms': 1 }, ARROW: { outOfMemory: 'ARROW: import' } }, refused: [] },
    { name: 'queries', engines: { DUCKDB: {}, ARROW: {} }, refused: ['ARROW: attainment'] },
  ]
  const text = report({ ...outcome, measured, differences: null })
  expect(text).toMatch(/ARROW: import\n/)
  expect(text).toMatch(/ARROW: attainment was refused/)
  expect(text).toMatch(/import ms +1\.00 +–/)
  expect(text).toMatch(/NOT COMPARED/)
})

test.each<[Partial<CompareOptions>, RegExp]>([
  [{ kind: 'sales' }, /--kind takes goals/],
  [{ function: 'computeSales' }, /--function takes a function of goals.*computeGoals/],
  [{ rows: '1e3,many' }, /--rows takes whole numbers .*not many/],
  [{ rows: '10' }, /--rows takes whole numbers from 1000/],
  [{ memory: 'little' }, /--memory takes a size .*not little/],
  [{ arguments: '[]' }, /--arguments takes a JSON object/],
  [{ arguments: '{"interval": "WEEK"}' }, /interval.*WEEK/],
  [{ arguments: '{"intervall": "MONTH"}' }, /intervall/],
])('%j is refused, and says what is right', async (given, message) => {
  const kinds = await loadKinds()
  const read = () => readOptions(kinds, { kind: 'goals', function: 'computeGoals', rows: '1e6', ...given })
  expect(read).toThrow(message)
  expect(read).toThrow(/^.*$/)
})

test('what is refused is told in one line', async () => {
  const { code, err, out } = await compare('--arguments', '{"interval": "WEEK"}')
  expect(code).toBe(1)
  expect(err).toMatch(/^teatree: .*interval.*WEEK.*\n$/)
  expect(out).toBe('')
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends it with its processes, and leaves nothing',
  async signal => {
    const { child, ended, err } = start(['--rows', '1e3'])
    const folder = await vi.waitFor(
      async () => {
        const found = (await leftBehind()).find(name => name.startsWith('teatree-compare-'))
        if (!found || !(await readdir(join(dir, found))).includes('DUCKDB')) throw new Error('not yet at work')
        return found
      },
      { timeout: 240_000, interval: 20 },
    )
    child.kill(signal)
    expect(await ended).toEqual([1, null])
    expect(await err).toBe('teatree: stopped\n')
    expect(await leftBehind()).not.toContain(folder)
  },
  300_000,
)

test('an answer that is another is found, whatever is different of it', () => {
  const answers = {
    'a page': [
      [
        { siteId: 'S1', amount: '1.0000' },
        { siteId: 'S2', amount: null },
      ],
      [],
    ],
  }
  expect(answersDiffer(answers, structuredClone(answers))).toBeNull()
  const other = (page: object[], more: object[] = []) => ({ 'a page': [page as never[], more as never[]] })
  const [first, second] = answers['a page'][0] as object[]
  expect(answersDiffer(answers, other([first as object, { siteId: 'S2', amount: '0.0000' }]))).toMatch(/a page, row 2/)
  expect(answersDiffer(answers, other([first as object]))).toMatch(/row 2.*none/)
  expect(answersDiffer(answers, other([first as object, second as object], [{}]))).toMatch(/0 rows, and 1/)
  expect(answersDiffer(answers, {})).toMatch(/asked 2 times, and 0/)
})

const leftBehind = async () => (await readdir(dir)).filter(name => !name.startsWith('node-compile-cache'))
