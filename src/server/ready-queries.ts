import { readdir, readFile } from 'node:fs/promises'

const EXAMPLES = new URL('../../examples/', import.meta.url)

/** The queries that people find ready, as their files in examples/ have them, in the order of the files' names. */
export async function readyQueries(): Promise<string[]> {
  const files = (await readdir(EXAMPLES)).filter(name => name.endsWith('.graphql')).sort()
  return Promise.all(files.map(name => readFile(new URL(name, EXAMPLES), 'utf8')))
}
