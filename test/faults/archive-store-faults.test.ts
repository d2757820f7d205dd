import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import type { Patience } from '../../src/platform/objects/s3-settings.ts'
import { expectWhole, namesOf } from '../support/archives.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { startFailingServer } from '../support/failing-server.ts'
import { openLosable } from '../support/lost-disk.ts'
import { environment, startManagerProcess } from '../support/manager-process.ts'
import { keysOf, onS3, S3_URL, s3TestStore, throughProxy } from '../support/object-stores.ts'
import { type Rule, startTcpProxy, type Verdict } from '../support/tcp-proxy.ts'

const isPut = (request: string) => request.startsWith('PUT ')
const NO_REST = { ms: 0, times: 0 }
/** Only of a store that falls silent: one that is slow to answer what begins or aborts an upload would leave it unfinished. */
const SILENCE = { stallMs: 1000, attempts: 1 }

/** The store as it is reached while `isFaulty`; where it is not, as it is. */
type Faulty = (store: ObjectStore, isFaulty: () => boolean) => Promise<{ store: ObjectStore } & AsyncDisposable>

const badLine =
  (ruleFor: (store: ObjectStore) => Rule, patience: Patience = { attempts: 1 }): Faulty =>
  (store, isFaulty) => {
    const rule = ruleFor(store)
    return throughProxy(store.url, (...of) => (isFaulty() ? rule(...of) : 'pass'), patience)
  }

/** Fails half of the requests as one that breaks, and half as one that is overloaded. */
const failing: Faulty = async (store, isFaulty) => {
  let asked = 0
  const status = () => (isFaulty() ? [500, 503][asked++ % 2] : undefined) ?? null
  const stack = new AsyncDisposableStack()
  const server = stack.use(await startFailingServer(`${process.env.AWS_ENDPOINT_URL_S3}`, status))
  const env = { ...process.env, AWS_ENDPOINT_URL_S3: server.url }
  const failing = stack.adopt(await openObjectStore(store.url, env, { attempts: 1 }), open => open.close())
  return { store: failing, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const SMALL = [{ entryId: 'A', note: null }]
/** More than goes to the store in one part, and cannot be compressed. */
const large = () =>
  Array.from({ length: 9 }, (_, order) => ({ entryId: `A${order}`, note: randomBytes(780_000).toString('base64') }))

describe.runIf(S3_URL)(onS3('an archive store'), () => {
  const faults: [what: string, faulty: Faulty, first?: typeof large][] = [
    [
      'cuts uploads',
      badLine(
        () =>
          (side, _, { request }) =>
            side === 'up' && isPut(request) ? 'cut' : 'pass',
      ),
    ],
    [
      'cuts uploads in the middle',
      badLine(
        () =>
          (side, _, { request, up }) =>
            side === 'up' && isPut(request) && up > 2_000_000 ? 'cut' : 'pass',
      ),
      large,
    ],
    ['falls silent', badLine(() => side => (side === 'up' ? 'swallow' : 'pass'), SILENCE)],
    [
      'keeps less than it was sent',
      badLine(store => async (side, _, { request }): Promise<Verdict> => {
        const [, key] = /^PUT \/[^/]+\/run\/[^/]+\/([^? ]+)/.exec(request) ?? []
        if (side === 'down' && key) await store.put(decodeURIComponent(key), Buffer.from('cut short'))
        return 'pass'
      }),
    ],
    ['answers 500 and 503', failing],
  ]
  test.for(faults)(
    'that %s marks nothing as archived, holds up no version, and is caught up with',
    async ([, faulty, first]) => {
      await using there = await s3TestStore()
      await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: there.url })
      let isFaulty = true
      let met = 0
      await using reached = await faulty(jobs.objects, () => {
        met += isFaulty ? 1 : 0
        return isFaulty
      })
      const { id } = await jobs.models.create({ kind: 'trial' })
      await jobs.startManager({ objects: reached.store, archiveRest: NO_REST }).hold(id)
      for (const rows of [first?.() ?? SMALL, [{ entryId: 'B', note: null }], [{ entryId: 'C', note: null }]])
        expect(await jobs.run(id, 'appendTrialEntries', { rows })).toMatchObject({ status: 'PUBLISHED' })
      expect(await comesTrue(async () => met > 3)).toBe(true)
      expect(await jobs.models.get(id)).toMatchObject({ version: 3, archivedVersion: 0, blocked: null })
      expect(await expectWhole(jobs, id)).toEqual([])
      expect(await keysOf(jobs.objects.list(`${id}/`))).not.toContainEqual(expect.stringContaining('manifest'))
      isFaulty = false
      await jobs.archived(id)
      expect((await expectWhole(jobs, id)).at(-1)).toBe(3)
      expect(await there.unfinished()).toEqual([])
    },
  )

  test('that is slow holds up no version, is asked for nothing twice, and is caught up with', async () => {
    await using there = await s3TestStore()
    await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: there.url })
    const held: (() => void)[] = []
    const puts: string[] = []
    let isSlow = true
    await using slow = await throughProxy(jobs.objects.url, async (side, _, { request }): Promise<Verdict> => {
      if (!isPut(request)) return 'pass'
      if (side === 'up') puts.push(request)
      else if (isSlow) await new Promise<void>(resolve => held.push(resolve))
      return 'pass'
    })
    const { id } = await jobs.models.create({ kind: 'trial' })
    await jobs.startManager({ objects: slow.store, archiveRest: NO_REST }).hold(id)
    const append = (entryId: string) => jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
    await append('A')
    expect(await comesTrue(async () => held.length === 1)).toBe(true)
    // It answers once for every third version.
    const versions = 16
    for (let version = 2; version <= versions; version++) {
      expect(await append(`${version}`)).toMatchObject({ status: 'PUBLISHED', version })
      expect(held.length).toBeLessThanOrEqual(1)
      if (version % 3 === 0) held.shift()?.()
    }
    isSlow = false
    for (const answer of held) answer()
    await jobs.archived(id)
    const archived = await expectWhole(jobs, id)
    expect(archived.at(-1)).toBe(versions)
    expect(archived.length).toBeLessThan(versions / 2)
    expect(puts).toEqual([...new Set(puts)])
  })

  test('of a manager that is killed as it puts the manifest nothing is half visible, and the next one begins anew', async () => {
    await using there = await s3TestStore()
    await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: there.url })
    const reached = Promise.withResolvers<void>()
    const rule: Rule = (side, _chunk, { request }) => {
      if (side !== 'up' || !isPut(request) || !request.includes('manifest')) return 'pass'
      reached.resolve()
      return 'swallow'
    }
    await using proxy = await startTcpProxy(`${process.env.AWS_ENDPOINT_URL_S3}`, rule)
    const { id } = await jobs.models.create({ kind: 'trial' })
    const settings = {
      TEATREE_DATABASE_URL: jobs.url,
      TEATREE_DATA_DIR: jobs.dataDir,
      TEATREE_STORE_URL: jobs.objects.url,
      TEATREE_KINDS: TRIAL_KINDS,
      AWS_ENDPOINT_URL_S3: proxy.url,
    }
    {
      await using killed = await startManagerProcess(environment(settings))
      await killed.hold(id)
      await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId: 'A', note: null }] })
      await reached.promise
    }
    expect(await jobs.models.get(id)).toMatchObject({ version: 1, archivedVersion: 0 })
    expect(await namesOf(jobs, id)).toEqual([`${id}/1/entries.parquet`, `${id}/1/seen.parquet`])
    await jobs.db.query('DELETE FROM model_lease')
    await jobs.startManager().hold(id)
    await jobs.archived(id)
    expect(await expectWhole(jobs, id)).toEqual([1])
  })
})
