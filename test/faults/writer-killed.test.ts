import { watch } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Launched, openLaunched } from '../support/launched.ts'
import { trialsOn } from '../support/trials.ts'

let launched: Launched
beforeAll(async () => {
  launched = await openLaunched({ kindsDir: TRIAL_KINDS })
})
afterAll(() => launched[Symbol.asyncDispose]())

/** Kills all managers; says how many there were. */
async function killManagers(): Promise<number> {
  const children = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
  let killed = 0
  for (const pid of children.trim().split(' ').filter(Boolean).map(Number)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!command.includes('manager')) continue
    process.kill(pid, 'SIGKILL')
    killed++
  }
  return killed
}

const folderOf = (model: string) => join(launched.dataDir, 'models', model)

/** Kills the manager once, as soon as something below the model's folder is written whose path is like that. */
function killAt(model: string, path: RegExp): { done(): Promise<number> } {
  const killed = Promise.withResolvers<number>()
  const watcher = watch(folderOf(model), { recursive: true }, (_, name) => {
    if (name === null || !path.test(name)) return
    watcher.close()
    killManagers().then(killed.resolve, killed.reject)
  })
  return { done: () => killed.promise }
}

/** What lies below the model's folder is what its newest manager and the versions that are kept need, and nothing besides. */
async function expectNoStrays(model: string): Promise<void> {
  const strays = async () => {
    const epoch = (await launched.models.get(model))?.epoch
    const kept = await launched.db.query<{ name: string }>(
      `SELECT version || '-' || epoch AS name FROM model_version WHERE model = $1 AND kept AND version > 0`,
      [model],
    )
    const names = new Set(kept.map(({ name }) => name))
    const versions = await readdir(join(folderOf(model), 'versions'))
    const scratch = await readdir(join(folderOf(model), 'scratch'))
    return [...versions.filter(name => !names.has(name)), ...scratch.filter(name => name !== String(epoch))]
  }
  expect(await comesTrue(async () => (await strays()).length === 0)).toBe(true)
}

/** When the manager dies, by what is written just then. */
const MOMENTS: [when: string, path: RegExp][] = [
  ['as it writes its own files', /^scratch\/\d+\/[^/]+\.(arrow|wal|duckdb)$/],
  ['as the files of a version are put into its folder', /^versions\/\d+-\d+\/[^/]+$/],
  ['as a version is there, and not published yet', /^versions\/\d+-\d+\/(manifest\.json|.*\.wal|model\.duckdb)$/],
]

describe.each(['DUCKDB', 'ARROW'] as const)('kill -9 of the manager of a model on %s', engine => {
  test('inside a function, between its steps: nothing half is left, and it is applied once', {
    timeout: 240_000,
  }, async () => {
    const { append, entries, linger, newModel, untilWaiting } = trialsOn(launched)
    const model = await newModel([], engine)
    await launched.ended((await append(model, 'A')).id)
    const until = join(launched.dataDir, `done-${engine}`)
    const intent = await linger(model, until)
    await untilWaiting(intent)
    expect(await killManagers()).toBeGreaterThan(0)
    // It begins anew, and what it wrote before is not seen by anybody.
    expect(await comesTrue(async () => ((await launched.ledger.intent(intent.id))?.attempts ?? 0) > 1)).toBe(true)
    await untilWaiting(intent)
    expect(await entries(model)).toEqual(['A'])
    await writeFile(until, '')
    expect(await launched.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
    expect(await entries(model)).toEqual([intent.id, 'A'].sort())
    await expectNoStrays(model)
  })

  test.each(MOMENTS)(
    '%s: what was taken on is there once, and nothing besides',
    { timeout: 240_000 },
    async (_, path) => {
      const { append, entries, newModel } = trialsOn(launched)
      const model = await newModel([], engine)
      await launched.ended((await append(model, 'A', 'B')).id)
      const kill = killAt(model, path)
      const intents = [await append(model, 'C'), await append(model, 'D', 'E')]
      expect(await kill.done()).toBeGreaterThan(0)
      intents.push(await append(model, 'F'))
      for (const { id } of intents) expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED' })
      expect(await entries(model)).toEqual(['A', 'B', 'C', 'D', 'E', 'F'])
      await expectNoStrays(model)
    },
  )
})
