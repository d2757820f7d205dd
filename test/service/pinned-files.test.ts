import { hash, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pull } from '../../src/commands/pull.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { PinnedFiles } from '../../src/jobs/pinned-files.ts'
import { pinVersion, releaseVersion } from '../../src/jobs/pins.ts'
import { comesTrue } from '../support/comes-true.ts'
import { quiet } from '../support/control.ts'
import { openServer, send, type TestServer } from '../support/http-server.ts'
import { bytesOf, keysOf, onS3, S3_URL } from '../support/object-stores.ts'
import { sale } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const STORES = [
  { name: 'a file store', storeUrl: undefined, there: true },
  { name: onS3('S3'), storeUrl: S3_URL && `${S3_URL}/pinned-${Date.now()}`, there: Boolean(S3_URL) },
]

describe.each(STORES)('pinned versions in $name', ({ storeUrl, there }) => {
  describe.skipIf(!there)('', () => {
    let server: TestServer
    let pinned: PinnedFiles
    beforeAll(async () => {
      server = await openServer(storeUrl ? { storeUrl } : {})
      pinned = new PinnedFiles({ ...server, downloads: server.services.downloads, log: quiet })
    })
    afterAll(async () => {
      await pinned.close()
      await server[Symbol.asyncDispose]()
    })

    /** So many that its file is larger than all that is said about it. */
    const manyRows = () => Array.from({ length: 8_000 }, (_, order) => sale({ orderId: `${order * 7919}` }))
    const newModel = (rows = [sale({ orderId: 'A' })]) =>
      server.salesModel(['appendSales', { rows }], ['appendSales', { rows: [sale({ orderId: 'B' })] }])
    const stored = (model: string) => keysOf(server.objects.list(`${model}/2/`))
    const roles = async (model: string) => {
      const rows = await server.db.query<{ role: string }>(
        `SELECT role FROM content_index WHERE model = $1 AND version = 2 AND role NOT IN ('PUBLISHED', 'CLEAN')`,
        [model],
      )
      return rows.map(({ role }) => role)
    }
    const withoutTables = (keys: string[]) => keys.filter(key => !/\.parquet$|manifest/.test(key))
    const keys = async (model: string) => withoutTables(await stored(model))
    const files = async (model: string) => (await keys(model)).map(key => key.replace(/-[0-9a-f-]{36}\./, '.'))
    const keyOf = async (model: string, name: string) =>
      (await keys(model)).find(key => key.includes(`/${name}-`)) ?? ''

    /** Version 2 pulled, and how many bytes came from the server. */
    const pulled = async (model: string) => {
      let down = 0
      await using proxy = await startTcpProxy(server.url, (side, chunk) => {
        if (side === 'down') down += chunk.length
        return 'pass'
      })
      const to = await mkdtemp(join(tmpdir(), 'teatree-pull-'))
      const { signal } = new AbortController()
      const came = await pull(`${model}@2`, { url: `${proxy.url}/graphql`, to, token: 'mine', signal })
      return { ...came, down, to }
    }

    test('are there as long as a label is, with their blocks', async () => {
      const model = await newModel()
      await pinned.look()
      expect(await files(model)).toEqual([])
      for (const label of ['audit', 'year end']) await pinVersion(server.db, model, 2, label)
      await pinned.look()
      expect(await files(model)).toEqual([`${model}/2/blocks.json`, `${model}/2/model.duckdb`])
      const whole = (await send(`${server.url}/content/${model}/2/model.duckdb?from=server`)).body
      expect((await bytesOf(await server.objects.get(await keyOf(model, 'model'))))?.equals(whole)).toBe(true)
      const blocks = (await send(`${server.url}/content/${model}/2/blocks`)).body
      expect((await bytesOf(await server.objects.get(await keyOf(model, 'blocks'))))?.equals(blocks)).toBe(true)
      expect(await roles(model)).toEqual(['STORED'])

      await releaseVersion(server.db, model, 2, 'audit')
      await pinned.look()
      expect(await files(model)).toHaveLength(2)
      await releaseVersion(server.db, model, 2, null)
      await pinned.look()
      expect(await files(model)).toEqual([])
      expect(await roles(model)).toEqual([])
    })

    test('of a version that is several files, are all there, and again where they had to be made again', async () => {
      const { id: model } = await server.models.create({ kind: 'sales', engine: 'ARROW' })
      await server.startManager().hold(model)
      await server.startManager().hold(model)
      for (const orderId of ['A', 'B']) await server.run(model, 'appendSales', { rows: [sale({ orderId })] })
      const published = await server.db.query<{ name: string; sha256: string }>(
        `SELECT name, sha256 FROM content_index WHERE model = $1 AND version = 2 AND form = 'ARROW'`,
        [model],
      )
      await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      expect(await roles(model)).toEqual(published.map(() => 'STORED'))
      const shas = async () => {
        const bodies = await Promise.all((await keys(model)).map(async key => bytesOf(await server.objects.get(key))))
        return bodies.map(body => hash('sha256', body ?? '', 'hex')).sort()
      }
      expect(await shas()).toEqual(published.map(({ sha256 }) => sha256).sort())
      const one = published.find(({ name }) => name.startsWith('sales.'))
      const file = `${server.url}/content/${model}/2/${one?.name}`
      const direct = await send(`${file}?from=server`)
      expect([direct.status, hash('sha256', direct.body, 'hex')]).toEqual([200, one?.sha256])
      const sent = await send(file)
      expect(sent.status).toBe(storeUrl ? 307 : 200)

      // What was stored of the version as it was before is of no use.
      await server.db.query(
        `UPDATE content_index SET sha256 = repeat('0', 64) WHERE model = $1 AND role = 'STORED' AND name LIKE '%manifest%'`,
        [model],
      )
      const before = await keys(model)
      await pinned.look()
      await pinned.look()
      expect(await roles(model)).toEqual(published.map(() => 'STORED'))
      expect(await shas()).toEqual(published.map(({ sha256 }) => sha256).sort())
      expect((await keys(model)).filter(key => !before.includes(key))).toHaveLength(1)
      await releaseVersion(server.db, model, 2, null)
      await pinned.look()
      expect(await keys(model)).toEqual([])
    })

    test('go though the version was let go, or the model deleted, before somebody looked', async () => {
      const [released, deleted] = [await newModel(), await newModel()]
      for (const model of [released, deleted]) await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      await releaseVersion(server.db, released, 2, null)
      await server.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [released])
      await letGo(server, released)
      await server.models.delete(deleted)
      for (const model of [released, deleted]) expect(await roles(model)).toEqual(['STORED'])
      await pinned.look()
      for (const model of [released, deleted]) {
        expect(await files(model)).toEqual([])
        expect(await roles(model)).toEqual([])
      }
    })

    test('are put there by several processes as by one', async () => {
      const model = await newModel()
      await pinVersion(server.db, model, 2, 'audit')
      const others = Array.from(
        { length: 3 },
        () => new PinnedFiles({ ...server, downloads: server.services.downloads, log: quiet }),
      )
      await Promise.all(others.map(other => other.look()))
      expect(await files(model)).toHaveLength(2)
      expect(await roles(model)).toEqual(['STORED'])
      await Promise.all(others.map(other => other.close()))
    })

    test('in the index have an address there where the store gives one, and none otherwise', async () => {
      const model = await newModel()
      await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      const query = `{ model(id: "${model}") { snapshot(at: { version: 2 }) { content { form uri url sha256 bytes } } } }`
      const { content } = (await server.answer(query)).data.model.snapshot
      const uri = server.objects.uri(await keyOf(model, 'model'))
      const inStore = content.find((file: { uri: string }) => file.uri === uri)
      const direct = content.find(({ url }: { url: string | null }) => url?.startsWith(server.url))
      expect(inStore).toMatchObject({ sha256: direct.sha256, bytes: direct.bytes })
      if (!storeUrl) expect(inStore.url).toBeNull()
      else {
        const part = await fetch(inStore.url, { headers: { range: 'bytes=100-199' } })
        const whole = (await send(`${direct.url}&from=server`)).body
        expect(part.status).toBe(206)
        expect(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(100, 200))).toBe(true)
      }
    })

    test.skipIf(!storeUrl)('are pulled from the store: no byte of the file moves through the server', async () => {
      const model = await newModel(manyRows())
      await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      const answer = await send(`${server.url}/content/${model}/2/model.duckdb`, { headers: { range: 'bytes=0-9' } })
      expect([answer.status, answer.headers['cache-control'], answer.body.length]).toEqual([307, 'no-store', 0])
      expect(answer.headers.location).toContain('X-Amz-Expires=900')
      const head = await send(`${server.url}/content/${model}/2/model.duckdb`, { method: 'HEAD' })
      const known = { headers: { 'if-none-match': `${head.headers.etag}` } }
      expect([head.status, (await send(`${server.url}/content/${model}/2/model.duckdb`, known)).status]).toEqual([
        200, 304,
      ])
      const { bytes, fetched, down, to } = await pulled(model)
      expect(bytes).toBeGreaterThan(500_000)
      expect(fetched).toBeGreaterThan(bytes)
      expect(down).toBeLessThan(20_000)
      const whole = (await send(`${server.url}/content/${model}/2/model.duckdb?from=server`)).body
      expect((await readFile(join(to, model, '2.duckdb'))).equals(whole)).toBe(true)
      await rm(to, { recursive: true })
    })

    test.skipIf(!storeUrl)(
      'of a model on Arrow are pulled from the store file by file, as their manifest says',
      async () => {
        const { id: model } = await server.models.create({ kind: 'sales', engine: 'ARROW' })
        await server.startManager().hold(model)
        await server.run(model, 'appendSales', { rows: manyRows() })
        expect(await server.run(model, 'appendSales', { rows: [sale({ orderId: 'B' })] })).toMatchObject({ version: 2 })
        await pinVersion(server.db, model, 2, 'audit')
        await pinned.look()
        const { fetched, down, to } = await pulled(model)
        expect(fetched).toBeGreaterThan(500_000)
        expect(down).toBeLessThan(50_000)
        await rm(to, { recursive: true })
      },
    )

    test('that cannot be put, however many they are, hold up no other', async () => {
      const model = await newModel()
      const archived = async () => (await server.models.managers([model]))[0]?.archiveLag === 0
      expect(await comesTrue(archived)).toBe(true)
      // More than are asked for in one go, before it in the order of the models, and without files.
      for (const statement of [
        `INSERT INTO goal_model (id, name, kind, shape, engine, size, version)
         SELECT 'a' || n, 'a' || n, 'sales', '{}', 'DUCKDB', 'SMALL', 1 FROM generate_series(1, 130) n`,
        `INSERT INTO model_version (model, version, epoch, last_seq, completions, tables)
         SELECT 'a' || n, 1, 1, 0, 0, '[]' FROM generate_series(1, 130) n`,
        `INSERT INTO version_pin (model, version, label) SELECT 'a' || n, 1, 'audit' FROM generate_series(1, 130) n`,
      ])
        await server.db.query(statement)
      await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      expect(await roles(model)).toEqual(['STORED'])
      await server.db.query(`DELETE FROM version_pin WHERE model ~ '^a[0-9]+$'`)
    })

    /** One whose puts are held up; `dies`: what he has put he never learns of, and does nothing after it. */
    const heldUp = ({ dies = false } = {}) => {
      const reached = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const put = Promise.withResolvers<void>()
      const store = new Proxy(server.objects, {
        get(of, name) {
          const value = Reflect.get(of, name)
          if (name !== 'putFile') return typeof value === 'function' ? value.bind(of) : value
          return async (...[key, path, options]: Parameters<typeof of.putFile>) => {
            const bytes = await readFile(path)
            reached.resolve()
            await gate.promise
            await of.put(key, bytes, options)
            put.resolve()
            if (dies) await new Promise(() => {})
          }
        },
      })
      const files = new PinnedFiles({ ...server, objects: store, downloads: server.services.downloads, log: quiet })
      return { files, reached, gate, put }
    }

    test('that are released go while others are on their way', async () => {
      const [released, coming] = [await newModel(), await newModel()]
      await pinVersion(server.db, released, 2, 'audit')
      await pinned.look()
      await pinVersion(server.db, coming, 2, 'audit')
      const { files: held, reached, gate } = heldUp()
      const looking = held.look()
      await reached.promise
      await releaseVersion(server.db, released, 2, null)
      const again = held.look()
      await expect.poll(() => roles(released)).toEqual([])
      expect(await roles(coming)).toEqual(['COMING'])
      gate.resolve()
      await Promise.all([looking, again])
      expect(await roles(coming)).toEqual(['STORED'])
      await held.close()
    })

    test('that were put by one who was frozen over it are not what another has put there since', async () => {
      const model = await newModel()
      await pinVersion(server.db, model, 2, 'audit')
      const { files: frozen, reached, gate } = heldUp()
      const looking = frozen.look()
      await reached.promise
      // The file is lost, and made anew: it holds the same, and is another.
      await rm(join(server.dataDir, 'models', model, 'clean'), { recursive: true })
      await server.db.query(`UPDATE content_index SET sha256 = repeat('0', 64) WHERE model = $1 AND role = 'COMING'`, [
        model,
      ])
      while ((await roles(model))[0] !== 'STORED') await pinned.look()
      gate.resolve()
      await looking
      await frozen.close()
      const whole = (await send(`${server.url}/content/${model}/2/model.duckdb?from=server`)).body
      expect(await roles(model)).toEqual(['STORED'])
      expect((await keys(model)).length).toBe(2)
      expect((await bytesOf(await server.objects.get(await keyOf(model, 'model'))))?.equals(whole)).toBe(true)
    })

    test('that were released before he had put them who then was killed go when the model is next held', async () => {
      const { id: model } = await server.models.create({ kind: 'sales' })
      const manager = server.startManager()
      await manager.hold(model)
      for (const orderId of ['A', 'B']) await server.run(model, 'appendSales', { rows: [sale({ orderId })] })
      // It sweeps the store when it first archives, which is as late as it likes.
      await manager.release(model)
      await pinVersion(server.db, model, 2, 'audit')
      const { files: killed, reached, gate, put } = heldUp({ dies: true })
      void killed.look()
      await reached.promise
      await releaseVersion(server.db, model, 2, null)
      await pinned.look()
      expect(await roles(model)).toEqual([])
      gate.resolve()
      await put.promise
      expect(await files(model)).toEqual([`${model}/2/model.duckdb`])
      // One that is pinned stays.
      await pinVersion(server.db, model, 2, 'year end')
      await pinned.look()
      expect(await files(model)).toHaveLength(3)
      // As does what the database has yet to come to: it may have been restored from before.
      const later = `${model}/3/model-${randomUUID()}.duckdb`
      await server.objects.put(later, Buffer.from('of a version to come'))
      await server.startManager().hold(model)
      await expect.poll(() => files(model)).toEqual([`${model}/2/blocks.json`, `${model}/2/model.duckdb`])
      expect(await roles(model)).toEqual(['STORED'])
      expect(await keysOf(server.objects.list(`${model}/3/`))).toEqual([later])
    })

    test.skipIf(storeUrl)('come there when the store works again', async () => {
      const model = await newModel()
      const archived = async () => (await server.models.managers([model]))[0]?.archiveLag === 0
      expect(await comesTrue(archived)).toBe(true)
      // the folder of the version's objects cannot be made
      const inTheWay = fileURLToPath(server.objects.uri(`${model}/2/any`)).replace(/\/any$/, '')
      await rm(inTheWay, { recursive: true, force: true })
      await writeFile(inTheWay, '')
      await pinVersion(server.db, model, 2, 'audit')
      await pinned.look()
      expect(await roles(model)).toEqual(['COMING'])
      await rm(inTheWay)
      while ((await roles(model))[0] !== 'STORED') await pinned.look()
      expect(await files(model)).toHaveLength(2)
    })
  })
})
