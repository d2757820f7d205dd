import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import { blockManifest } from '../../src/engine/duckdb/snapshot-files.ts'
import type { SnapshotFile } from '../../src/engine/engine.ts'
import { LONGER } from '../support/longer.ts'
import { runNode } from '../support/node-process.ts'
import { HEAPS } from './heap-changes.ts'
import { querySnapshot, WriterModel } from './writer-model.ts'

const THINGS = 40_000
const PARTS = 4

/** Version n sets a quarter of the rows to n, here and there: so much that new bases are made behind many a version. */
const WRITER = `
import { rm } from 'node:fs/promises'
import { openDuckDBWriter } from './src/engine/duckdb/writer.ts'
import { HEAPS, many } from './test/engine/heap-changes.ts'
const { kind } = HEAPS[0]
const dir = process.env.WRITER_DIR
const writer = await openDuckDBWriter({ kind, kinds: new Map([[kind.name, kind]]), dir: dir + '/scratch', from: null, threads: 1, log: console })
for (let n = 1; ; n++) {
  const statement = n === 1 ? \`\${many(${THINGS})}; UPDATE things SET weight = 1\` : \`UPDATE things SET weight = \${n} WHERE thing % ${PARTS} = \${n % ${PARTS}}\`
  const change = { is: 'function', name: 'shovel', args: { statement }, reads: [] }
  const work = { intentId: crypto.randomUUID(), seq: BigInt(n), submittedAt: '2026-01-01T00:00:00.000000Z', change, signal: new AbortController().signal, onStep() {} }
  const [outcome] = await writer.apply([work], n)
  if (!outcome.ok) throw outcome.error
  const { files } = await writer.snapshot(dir + '/version ' + n)
  console.log(JSON.stringify(files))
  if (n > 3) await rm(dir + '/version ' + (n - 3), { recursive: true })
}`

const GROUPS = `SELECT (thing % ${PARTS})::INTEGER AS part, count(*)::INTEGER AS rows, min(weight) AS least, max(weight) AS most
  FROM things GROUP BY part ORDER BY part`

/** What the groups are in a version: each as it was set last. */
const groupsOf = (version: number) =>
  Array.from({ length: PARTS }, (_, part) => {
    const last = version - ((version - part) % PARTS)
    const weight = last > 1 && last <= version ? last : 1
    return { part, rows: THINGS / PARTS, least: weight, most: weight }
  })

async function versionIn(dir: string, version: number) {
  const folder = join(dir, `version ${version}`)
  return Object.fromEntries((await readdir(folder)).map(name => [name, join(folder, name)]))
}

test('whenever its writer is killed, what was published is whole, and another goes on from it', async () => {
  let renewed = 0
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 8, max: 14 }), fc.nat({ max: 40 }), async (versions, turns) => {
      const dir = await mkdtemp(join(tmpdir(), 'teatree-killed-'))
      await mkdir(join(dir, 'scratch'))
      const { child, lines, ended } = runNode(WRITER, { WRITER_DIR: dir })
      const published: SnapshotFile[][] = []
      while (published.length < versions) {
        const line = await lines.next()
        if (line.done) throw new Error((await ended).stderr)
        published.push(JSON.parse(line.value))
      }
      // Some way into what the writer does behind a version.
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      child.kill('SIGKILL')
      const { stdout } = await ended
      const last = stdout.length
      published.push(...stdout.slice(published.length).map(line => JSON.parse(line)))
      renewed += new Set(published.map(([base]) => base?.sha256)).size - 1
      for (const version of [last - 1, last]) {
        const files = await versionIn(dir, version)
        const [base] = published[version - 1] ?? []
        expect(manifestDigest((await blockManifest(databaseOf(files))).blocks)).toBe(base?.sha256)
        expect(await querySnapshot(files, GROUPS)).toEqual(groupsOf(version))
      }
      const { kind } = HEAPS[0] ?? expect.fail()
      await using next = await WriterModel.open(kind, { from: await versionIn(dir, last) })
      await next.call('shovel', {
        statement: `UPDATE things SET weight = ${last + 1} WHERE thing % ${PARTS} = ${(last + 1) % PARTS}`,
      })
      expect(await querySnapshot((await next.snapshot()).files, GROUPS)).toEqual(groupsOf(last + 1))
      await rm(dir, { recursive: true })
    }),
    { numRuns: 3 * LONGER, endOnFailure: true },
  )
  expect(renewed).toBeGreaterThan(1)
}, 240_000)
