import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadKinds } from '../../src/kinds/registry.ts'
import { UsageError } from '../../src/platform/errors.ts'
import { runNode } from '../support/node-process.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'teatree-kinds-'))
})
afterEach(() => rm(directory, { recursive: true }))

const kindText = (name: string) => `
  import { arg, defineFunction, defineKind, TeatreeError } from 'teatree'
  const refuse = defineFunction({
    description: 'Refuses.',
    arguments: { reason: arg.varchar() },
    result: { name: 'Refused', description: 'Never.', columns: { reason: 'VARCHAR' } },
    check: ({ reason }) => { throw new TeatreeError('BAD_VALUE', reason) },
    engines: { DUCKDB: async () => ({ reason: 'none' }) },
  })
  export default defineKind({
    name: '${name}',
    description: 'A kind from elsewhere.',
    engines: ['DUCKDB'],
    tables: { things: { row: 'Thing', description: 'A thing.', columns: { thingId: 'VARCHAR' }, key: ['thingId'], writes: [] } },
    functions: { refuse },
  })`

/** Loads the kinds in a process of its own, where Node itself finds the modules, and says what came of it. */
async function load(then = ''): Promise<{ stdout: string[]; stderr: string }> {
  const { ended } = runNode(`
    import { loadKinds } from './src/kinds/registry.ts'
    import { UsageError } from './src/platform/errors.ts'
    try {
      const kinds = await loadKinds({ directory: ${JSON.stringify(directory)} })
      console.log([...kinds.keys()].join(' '))
      ${then}
    } catch (error) {
      console.log(error instanceof UsageError ? error.message : error)
    }`)
  return ended
}

test('the kinds that ship are loaded like any other', async () => {
  const kinds = await loadKinds()
  expect([...kinds.keys()]).toEqual(['sales', 'goals'])
  expect([...kinds.values()].map(({ prefix }) => prefix)).toEqual(['', ''])
})

test('a directory inside of the package can hold kinds too', async () => {
  const kinds = await loadKinds({ directory: 'test/support/kinds' })
  expect([...kinds.keys()]).toEqual(['sales', 'goals', 'lab'])
})

describe('a directory outside of the package', () => {
  test('holds kinds in .ts, .js and .mjs, by name, and they mean this very package by teatree', async () => {
    await writeFile(join(directory, 'b.js'), kindText('bee'))
    await writeFile(join(directory, 'c.mjs'), kindText('cee'))
    await writeFile(
      join(directory, 'a.ts'),
      kindText('ay').replace('const refuse', 'const typed: number = 1\nconst refuse'),
    )
    await writeFile(join(directory, 'types.d.ts'), 'export {}')
    await writeFile(join(directory, 'notes.md'), 'none of ours')
    await writeFile(join(directory, '.hidden.js'), 'throw new Error()')
    await mkdir(join(directory, 'parts'))
    const { stdout, stderr } = await load(`
      const { TeatreeError } = await import('./src/platform/errors.ts')
      const { coerceArguments } = await import('./src/kinds/validate.ts')
      const ay = kinds.get('ay')
      try { coerceArguments(ay, ay.functions.get('refuse'), { reason: 'no' }) }
      catch (error) { console.log(error instanceof TeatreeError, error.message) }`)
    expect(stdout).toEqual(['sales goals ay bee cee', 'true no'])
    expect(stderr).not.toContain('Error')
  })

  test('whose package.json is its own finds teatree all the same', async () => {
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }')
    await writeFile(join(directory, 'a.ts'), kindText('ay'))
    expect(await load()).toEqual({ code: 0, stdout: ['sales goals ay'], stderr: '' })
  })

  test.each<[string, string, RegExp]>([
    ['that cannot be parsed', 'export default {', /\/broken\.mjs: the module cannot be loaded: SyntaxError: \S/],
    ['that throws', 'throw new Error("first line\\nsecond")', /: the module cannot be loaded: Error: first line$/],
    [
      'that imports what is not there',
      'import "no-such-thing"',
      /: the module cannot be loaded: Error: Cannot find package/,
    ],
    ['without a default export', 'export const kind = 1', /: exports no kind; write: export default defineKind/],
    ['with a broken definition', 'export default { name: "x", colour: 1 }', /\/broken\.mjs: kind x/],
    [
      'with a kind that ships',
      kindText('goals'),
      /\/broken\.mjs: there is a kind goals already, in models\/goals\.ts$/,
    ],
    [
      'that clashes',
      kindText('x').replace("'x',", "'x', prefix: '',").replaceAll('Thing', 'Sale'),
      /^kind x, table things: the name Sale is taken by kind sales/,
    ],
  ])('with a module %s stops the start in one line', async (_, text, line) => {
    await writeFile(join(directory, 'broken.mjs'), text)
    const { stdout } = await load()
    expect(stdout).toHaveLength(1)
    expect(stdout[0]).toMatch(line)
  })

  test('that is not there stops the start', async () => {
    const lost = loadKinds({ directory: join(directory, 'lost') })
    await expect(lost).rejects.toThrow(UsageError)
    await expect(lost).rejects.toThrow(/^TEATREE_KINDS: the directory .*lost cannot be read \(ENOENT\)$/)
  })
})
