import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Launched, openLaunched } from '../support/launched.ts'
import { PROGRAM } from '../support/manager-process.ts'
import { trialsOn } from '../support/trials.ts'

/** Ends the leases at once, which a manager that hangs does not renew. */
const endLeases = (launched: Launched) =>
  launched.db.query(`UPDATE model_lease SET expires_at = now() - interval '1 second'`)

test('an intent that never lets go of its manager is PARKED after three, and all its models go on', {
  timeout: 240_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, hungSeconds: 2 })
  const { append, entries, newModel, spin, until } = trialsOn(launched)
  const [model, neighbour] = [await newModel(), await newModel()]
  await launched.ended((await append(neighbour, 'N')).id)
  await launched.ended((await append(model, 'A')).id)
  const hanging = await spin(model)
  const waiting = [await append(model, 'B')]
  for (let attempts = 1; attempts <= 3; attempts++) {
    await until(model, async () => ((await launched.ledger.intent(hanging.id))?.attempts ?? 0) === attempts)
    if (attempts === 1) waiting.push(await append(neighbour, 'O'))
    await endLeases(launched)
  }
  expect(await launched.ended(hanging.id)).toMatchObject({ status: 'PARKED', version: null, attempts: 4 })
  for (const { id } of waiting) expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED' })
  expect(await entries(model)).toEqual(['A', 'B'])
  expect(await entries(neighbour)).toEqual(['N', 'O'])
})

test('a manager that was stopped from outside is replaced', { timeout: 240_000 }, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, hungSeconds: 2 })
  const { append, entries, newModel } = trialsOn(launched)
  const model = await newModel()
  await launched.ended((await append(model, 'A')).id)
  const stopped = await managers()
  for (const pid of stopped) process.kill(pid, 'SIGSTOP')
  await endLeases(launched)
  expect(await launched.ended((await append(model, 'B')).id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
  expect(await entries(model)).toEqual(['A', 'B'])
  expect((await managers()).filter(pid => stopped.includes(pid))).toEqual([])
})

test('a manager that does not come up is killed, and another is started', { timeout: 240_000 }, async () => {
  await using program = await programThat(
    dir => `
    import { mkdirSync } from 'node:fs'
    const isFirst = mkdirSync(${JSON.stringify(join(dir, 'begun'))}, { recursive: true }) !== undefined
    if (isFirst) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`,
  )
  await using launched = await openLaunched({
    program: program.path,
    kindsDir: TRIAL_KINDS,
    startMs: 3_000,
    hungSeconds: 1,
  })
  const { append, newModel } = trialsOn(launched)
  const { id } = await append(await newModel(), 'A')
  expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED', attempts: 1 })
})

test('managers that come up slowly, as on a machine that is overloaded, come up', { timeout: 240_000 }, async () => {
  // More than the first of them have.
  await using program = await programThat(() => 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000)')
  await using launched = await openLaunched({ program: program.path, kindsDir: TRIAL_KINDS, startMs: 1_500 })
  const { append, newModel } = trialsOn(launched)
  const { id } = await append(await newModel(), 'A')
  expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED', attempts: 1 })
})

/** A program that does something, in a folder of its own, before it becomes ours. */
async function programThat(does: (dir: string) => string): Promise<AsyncDisposable & { path: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-'))
  const path = join(dir, 'before.mjs')
  await writeFile(path, `${does(dir)}\nawait import(${JSON.stringify(pathToFileURL(PROGRAM).href)})`)
  return { path, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

/** Process ids of the managers that this process has started. */
async function managers(): Promise<number[]> {
  const children = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
  const pids = children.trim().split(' ').filter(Boolean).map(Number)
  const commands = await Promise.all(
    pids.map(async pid => [pid, await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')] as const),
  )
  return commands.filter(([, command]) => command.includes('manager')).map(([pid]) => pid)
}
