import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { printSchema } from 'graphql'
import { loadKinds } from '../src/kinds/registry.ts'
import { makeSchema } from '../src/resolvers/index.ts'

const PRINTED = fileURLToPath(new URL('./schema.graphql', import.meta.url))

/** The schema of the kinds that ship, as schema.graphql holds it. */
export const printed = async (): Promise<string> =>
  `# Printed from the code by: npm run schema\n\n${printSchema(makeSchema({ kinds: await loadKinds() }))}\n`

/** What schema.graphql holds. */
export const committed = (): Promise<string> => readFile(PRINTED, 'utf8')

if (import.meta.main) await writeFile(PRINTED, await printed())
