import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { duckdb } from './engines.ts'
import { orchard, testFolder } from './reader-model.ts'

/** What a process that starts here has open of a folder; `first` is what it does before it looks. */
function openInChild(folder: string, first: string): string[] {
  const program = `
    import { readdirSync, readlinkSync } from 'node:fs'
    import { closeInheritedFiles } from ${JSON.stringify(new URL('../../src/platform/inherited-files.ts', import.meta.url))}
    ${first}
    const target = name => { try { return readlinkSync('/dev/fd/' + name) } catch { return '' } }
    const found = readdirSync('/dev/fd').map(target).filter(path => path.startsWith(process.argv[1]))
    process.stdout.write(JSON.stringify(found))`
  return JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', program, folder], { encoding: 'utf8' }),
  )
}

test('a process that is started while versions are read does not keep their files', async () => {
  await using folder = await testFolder(duckdb)
  const files = await folder.snapshot(orchard, {})
  const readers = await duckdb.startReaders({})
  try {
    const reader = await readers.open({ kind: orchard, files })
    expect(await reader.count('growers', { is: 'and', of: [] })).toBe(0n)
    const [path = ''] = Object.values(files)
    const dir = path.slice(0, path.lastIndexOf('/'))
    // It has them, where it does nothing about it.
    expect(openInChild(dir, '')).toContain(path)
    expect(openInChild(dir, 'closeInheritedFiles()')).toEqual([])
    expect(await reader.count('growers', { is: 'and', of: [] })).toBe(0n)
    await reader.close()
  } finally {
    await readers.close()
  }
})
