import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { readManifest } from '../../src/jobs/manifest.ts'
import { type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { environment, startManagerProcess } from '../support/manager-process.ts'
import { sha256 as digest, keysOf, onS3, S3_URL, throughProxy } from '../support/object-stores.ts'
import { type Rule, startTcpProxy, type Verdict } from '../support/tcp-proxy.ts'

const isPut = (request: string) => request.startsWith('PUT ')
const NO_REST = { ms: 0, times: 0 }
const PATIENCE = { stallMs: 1000, attempts: 1 }

/** Every archive that PostgreSQL knows is whole in the store, and what it says there is the same. */
async function expectWhole({ db, objects }: Losable, model: string): Promise<number[]> {
  const archives = await db.query<{ version: number; tables: { key: string; bytes: number; sha256: string }[] }>(
    'SELECT version, tables FROM archive WHERE model = $1 ORDER BY version',
    [model],
  )
  for (const { version, tables } of archives) {
    const manifest = await objects.get(`${model}/${version}/manifest.json`)
    expect(readManifest(manifest ? await buffer(manifest) : Buffer.of(), model, version).tables).toEqual(tables)
    for (const { key, bytes, sha256 } of tables) {
      const body = await objects.get(key)
      const kept = body ? await buffer(body) : Buffer.of()
      expect([kept.length, digest(kept)], key).toEqual([bytes, sha256])
    }
  }
  return archives.map(({ version }) => version)
}

describe.runIf(S3_URL)(onS3('the archive over a bad line'), () => {
  const faults: [string, (store: ObjectStore) => Rule][] = [
    [
      'cuts uploads',
      () =>
        (side, _chunk, { request }) =>
          side === 'up' && isPut(request) ? 'cut' : 'pass',
    ],
    ['falls silent', () => side => (side === 'up' ? 'swallow' : 'pass')],
    [
      'keeps less than it was sent',
      store =>
        async (side, _chunk, { request }): Promise<Verdict> => {
          const [, key] = /^PUT \/[^/]+\/run\/[^/]+\/([^? ]+)/.exec(request) ?? []
          if (side === 'down' && key) await store.put(decodeURIComponent(key), Buffer.from('cut short'))
          return 'pass'
        },
    ],
  ]
  test.for(faults)(
    'that %s marks nothing as archived, holds up no version, and is caught up with',
    async ([, faulty]) => {
      await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: `${S3_URL}/${crypto.randomUUID()}` })
      const rule = faulty(jobs.objects)
      let isFaulty = true
      let met = 0
      await using proxied = await throughProxy(
        jobs.objects.url,
        (...of) => {
          if (!isFaulty) return 'pass'
          met += 1
          return rule(...of)
        },
        PATIENCE,
      )
      const { id } = await jobs.models.create({ kind: 'trial' })
      await jobs.startManager({ objects: proxied.store, archiveRest: NO_REST }).hold(id)
      for (const entryId of ['A', 'B', 'C'])
        expect(await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })).toMatchObject({
          status: 'PUBLISHED',
        })
      expect(await jobs.completions.until(id, async () => met > 3, 20_000)).toBe(true)
      expect(await jobs.models.get(id)).toMatchObject({ version: 3, archivedVersion: 0, blocked: null })
      expect(await expectWhole(jobs, id)).toEqual([])
      expect(await keysOf(jobs.objects.list(`${id}/`))).not.toContainEqual(expect.stringContaining('manifest'))
      isFaulty = false
      await jobs.archived(id)
      expect(await expectWhole(jobs, id)).toEqual([3])
    },
  )

  test('that answers 500 marks nothing as archived, and is caught up with', async () => {
    await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: `${S3_URL}/${crypto.randomUUID()}` })
    let asked = 0
    const server = createServer((request, response) => {
      asked += 1
      request.resume().on('end', () => response.writeHead(500).end())
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const broken = openObjectStore(jobs.objects.url, { ...process.env, AWS_ENDPOINT_URL_S3: address }, PATIENCE)
    const { id } = await jobs.models.create({ kind: 'trial' })
    const manager = jobs.startManager({ objects: broken })
    await manager.hold(id)
    await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId: 'A', note: null }] })
    expect(await jobs.completions.until(id, async () => asked > 2, 20_000)).toBe(true)
    await manager.close()
    await broken.close()
    server.close()
    expect(await jobs.models.get(id)).toMatchObject({ version: 1, archivedVersion: 0 })
    await jobs.startManager().hold(id)
    await jobs.archived(id)
    expect(await expectWhole(jobs, id)).toEqual([1])
  })

  test('of a manager that is killed as it puts the manifest nothing is half visible, and the next one begins anew', async () => {
    await using jobs = await openLosable({ kindsDir: TRIAL_KINDS, storeUrl: `${S3_URL}/${crypto.randomUUID()}` })
    const reached = Promise.withResolvers<void>()
    const rule: Rule = (side, _chunk, { request }) => {
      if (side !== 'up' || !isPut(request) || !request.includes('manifest.json')) return 'pass'
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
    expect(await keysOf(jobs.objects.list(`${id}/`))).toEqual([`${id}/1/entries.parquet`, `${id}/1/seen.parquet`])
    await jobs.db.query('DELETE FROM model_lease')
    await jobs.startManager().hold(id)
    await jobs.archived(id)
    expect(await expectWhole(jobs, id)).toEqual([1])
  })
})
