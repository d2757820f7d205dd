import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startPlatform } from '../support/platform.ts'
import { appendSales, computeGoals, createModel } from '../support/sales-model.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const GENERATOR = fileURLToPath(new URL('node_modules/.bin/graphql-codegen', import.meta.url))
const COMPILER = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
const run = promisify(execFile)

/** Generates the client from schema.graphql and examples/, and compiles it; what the compiler says is the error. */
async function build(): Promise<(url: string, models: { sales: string; goals: string }) => Promise<unknown>> {
  for (const made of ['source/generated', 'built'])
    await rm(new URL(made, import.meta.url), { recursive: true, force: true })
  await run(GENERATOR, ['--config', 'codegen.json'], { cwd: HERE })
  const { stdout } = await run(COMPILER, ['-p', HERE]).catch(error => error)
  if (stdout) throw new Error(stdout)
  return (await import(new URL('built/program.js', import.meta.url).href)).visit
}

test.skipIf(!existsSync(GENERATOR))(
  'a client that is generated from the schema compiles strictly, and runs the ready queries (skipped without npm ci in test/client)',
  { timeout: 180_000 },
  async () => {
    const visit = await build()
    await using platform = await startPlatform()
    const sales = await createModel(platform, { id: 'demo-sales', kind: 'sales' })
    const goals = await createModel(platform, { id: 'demo-goals', kind: 'goals', reads: [sales] })
    await platform.graphql(`mutation { pinSnapshot(model: "${goals}", version: 0, label: "before") { id } }`)
    await platform.graphql(`mutation { upsertSites(model: "${sales}", waitMs: 60000, rows: [
      { siteId: "S01", name: "Munich", country: "Germany" }, { siteId: "S02", name: "Lyon", country: "France" }]) { id } }`)
    const rows = Array.from({ length: 25 }, (_, index) => ({
      orderId: `A${String(index).padStart(2, '0')}`,
      date: `2024-0${1 + (index % 3)}-15`,
      siteId: index % 5 === 0 ? 'S02' : 'S01',
      amount: `${10 + index}.5`,
    }))
    await appendSales(platform, sales, rows)
    await computeGoals(platform, goals, { salesModel: sales, grain: ['SITE'] })

    const seen = (await visit(`${platform.url}/graphql`, { sales, goals })) as Record<string, never>
    expect(seen).toMatchObject({
      kinds: ['sales', 'goals'],
      versions: { [sales]: expect.any(Number), [goals]: expect.any(Number) },
      appended: { status: 'PUBLISHED', inserted: '1', isTheSame: true },
      abroad: { site: 'Munich', orders: ['A00', 'A05', 'A10', 'A15', 'A20'] },
      months: [
        ['2024-01-01', 'Munich', '166.5000', '7'],
        ['2024-02-01', 'Munich', '155.5000', '7'],
        ['2024-03-01', 'Munich', '138.0000', '6'],
      ],
      tables: expect.arrayContaining([{ name: 'sales', rows: '26', csv: expect.stringContaining(platform.url) }]),
      live: expect.arrayContaining([sales, goals]),
      followed: expect.any(Number),
    })
    expect(seen.amounts).toHaveLength(26)
    expect(seen.names).toContain('Lyon')
    expect(seen.met).toEqual(expect.arrayContaining([expect.objectContaining({ siteId: 'S01' })]))
    expect(seen.moved).toEqual(expect.arrayContaining([['ADDED', expect.any(String), expect.any(String)]]))
  },
)
