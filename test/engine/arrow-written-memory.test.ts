import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { makeMemoryGroup } from '../../src/commands/compare/memory-group.ts'

const PROGRAM = fileURLToPath(new URL('./many-rows-program.ts', import.meta.url))
const BYTES = 300e6

test('a function over frames writes more than may be in memory (skipped where no control group can be made)', async ({
  skip,
}) => {
  const group = await makeMemoryGroup(BYTES).catch(() => null)
  if (!group) return skip()
  await using bounded = group
  // 200 bytes each, and so twice the bound.
  const rows = 3_000_000
  const args = ['-c', 'echo $$ > "$0" && exec "$@"', bounded.processes, process.execPath, PROGRAM]
  const child = spawn('/bin/sh', args, { env: { ...process.env, ROWS: String(rows) } })
  const [ended, out, err] = [once(child, 'close'), text(child.stdout), text(child.stderr)]
  expect(await err).toBe('')
  expect(await ended).toEqual([0, null])
  expect(await out).toBe(`${rows}\n`)
}, 300_000)
