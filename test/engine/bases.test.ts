import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { Bases } from '../../src/engine/duckdb/bases.ts'
import { databaseOf, type ModelDatabase, openDatabase } from '../../src/engine/duckdb/database.ts'
import { blockChecksums, blocksInUse } from '../../src/engine/duckdb/database-blocks.ts'
import { blockManifest } from '../../src/engine/duckdb/snapshot-files.ts'
import { SurroundingsError } from '../../src/engine/surroundings-error.ts'
import { onDisk, smallDisk } from '../support/small-disk.ts'
import { HEAPS, many } from './heap-changes.ts'
import { querySnapshot, WriterModel } from './writer-model.ts'

const disk = smallDisk(64)

let dir: string
let db: ModelDatabase
let bases: Bases
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-bases-'))
  db = await openDatabase(dir, null, { threads: 1 })
  bases = await Bases.open({ dir: join(dir, 'bases'), database: db.path, from: null })
})
afterEach(async () => {
  db.close()
  await rm(dir, { recursive: true })
})

/** Publishes the present state as the version of that name. */
async function publish(name: string) {
  const folder = join(dir, name)
  await mkdir(folder)
  const made = await bases.publish(folder)
  return { folder, made, files: Object.fromEntries(made.map(each => [each.name, join(folder, each.name)])) }
}

const digest = 'SELECT count(*) AS rows, sum(hash(t)::HUGEINT) AS sum FROM t'

test('a block whose words change places is told from what it was, though its checksum is the same', async () => {
  // Values of eight bytes lie in a block as they are; two that change places leave the checksum alone.
  await db.sql.run(`PRAGMA force_compression = 'uncompressed'`)
  await db.sql.run('CREATE TABLE t AS SELECT i, random() AS weight FROM range(60000) r (i)')
  await bases.renew(db.sql)
  const versions = [await publish('0')]
  const sums = [await blockChecksums(db.path)]
  for (let n = 1; n <= 12; n++) {
    await db.sql.run(
      `UPDATE t SET weight = (SELECT other.weight FROM t other WHERE other.i = ${20 * n + 1} - t.i) WHERE i IN (${20 * n}, 1)`,
    )
    await bases.renew(db.sql)
    sums.push(await blockChecksums(db.path))
    const made = await publish(String(n))
    expect(await querySnapshot(made.files, digest)).toEqual(await db.sql.all(digest))
    expect(manifestDigest((await blockManifest(databaseOf(made.files))).blocks)).toBe(made.made[0]?.sha256)
    versions.push(made)
    if (versions.length > 2) await rm(versions.shift()?.folder ?? '', { recursive: true })
  }
  // That it was put to the test: there is a state that has the checksums of an earlier one in blocks that differ.
  const data = (at: number) => new Set(Array.from({ length: 4 }, (_, block) => sums[at]?.readBigUInt64LE(block * 8)))
  expect(sums.some((_, at) => at >= 4 && data(at).intersection(data(at - 4)).size > 0)).toBe(true)
})

/** The blocks that the catalog knows of, by what DuckDB says of its segments and its metadata. */
async function blocksOfCatalog() {
  const tables = await db.sql.all('SELECT table_name AS name FROM duckdb_tables()')
  const all = new Set<number>()
  const add = (rows: Record<string, unknown>[]) => {
    for (const { block } of rows) if (Number(block) >= 0) all.add(Number(block))
  }
  for (const { name } of tables) {
    const segments = `(SELECT * FROM pragma_storage_info('${name}') WHERE persistent)`
    add(await db.sql.all(`SELECT block_id AS block FROM ${segments}`))
    add(await db.sql.all(`SELECT unnest(additional_block_ids) AS block FROM ${segments}`))
  }
  const metadata = await db.sql.all('SELECT block_id AS block FROM pragma_metadata_info()')
  add(metadata)
  return { all, metadata: new Set(metadata.map(({ block }) => Number(block))) }
}

test('which blocks hold something is what DuckDB says, whatever has become of the file', async () => {
  const long = `repeat('tea ', 20000) || i`
  const changes = [
    'CREATE TABLE t AS SELECT i, random() AS weight FROM range(300000) r (i)',
    'UPDATE t SET weight = random() WHERE i % 1000 = 1',
    'DELETE FROM t WHERE i > 100000 AND i % 3 > 0',
    'INSERT INTO t SELECT i + 300000, random() FROM range(200000) r (i)',
    `CREATE TABLE long AS SELECT i, ${long} AS text FROM range(500) r (i)`,
    'ALTER TABLE t ADD COLUMN label VARCHAR',
    'UPDATE t SET label = hash(i)::VARCHAR',
    'DELETE FROM long WHERE i % 2 = 0',
    'DROP TABLE long',
    'DELETE FROM t WHERE i % 2 = 0',
    'INSERT INTO t BY NAME SELECT i + 900000 AS i FROM range(10) r (i)',
    'DELETE FROM t',
  ]
  for (const change of changes) {
    await db.sql.run(change)
    await db.sql.run('CHECKPOINT')
    expect(await blocksInUse(db.path), change).toEqual(await blocksOfCatalog())
  }
})

test('what a large append wrote past the WAL needs a new base; what a small one wrote does not', async () => {
  await db.sql.run('CREATE TABLE t (i BIGINT)')
  await bases.renew(db.sql)
  await db.sql.run('INSERT INTO t FROM range(10)')
  expect(await bases.isDue()).toBe(false)
  expect((await publish('small')).made.map(({ name }) => name)).toEqual(['base.duckdb', 'base.duckdb.wal'])
  await db.sql.run('INSERT INTO t SELECT hash(i) % 1000000 FROM range(500000) r (i)')
  expect(await bases.isDue()).toBe(true)
  await bases.renew(db.sql)
  const large = await publish('large')
  expect(large.made.map(({ name }) => name)).toEqual(['model.duckdb'])
  expect(await querySnapshot(large.files, digest)).toEqual(await db.sql.all(digest))
})

test('a new base is made behind the version whose WAL has cost its readers as much, and the next goes on from it', async () => {
  await db.sql.run('CREATE TABLE t AS FROM range(1000) r (i)')
  await bases.renew(db.sql)
  const { folder, files } = await publish('first')
  let [before, last, versions] = [(await stat(databaseOf(files))).ino, folder, 0]
  for (;;) {
    await db.sql.run('INSERT INTO t FROM range(100)')
    expect(await bases.isDue()).toBe(false)
    const { folder, files, made } = await publish(`version ${versions++}`)
    expect(made).toHaveLength(2)
    const { ino } = await stat(databaseOf(files))
    const digests = [await querySnapshot(files, digest), await db.sql.all(digest)]
    bases.renewBehind(db.sql)
    await bases.close()
    await bases.renewed()
    // It is read as it was while the new base is made, and after.
    expect([...digests, await querySnapshot(files, digest)]).toEqual(Array(3).fill(digests[1]))
    await rm(last, { recursive: true })
    last = folder
    if (ino !== before) break
    before = ino
  }
  expect(versions).toBeGreaterThan(5)
  // The WAL of the one that it was made behind is in it.
  expect((await stat(join(last, 'base.duckdb.wal'))).size).toBeLessThan(6000)
})

test('what a writer begins with is patched from the first new base on, once there is a copy of it', async () => {
  await db.sql.run('CREATE TABLE t AS SELECT i, random() AS weight FROM range(300000) r (i)')
  await bases.renew(db.sql)
  const { files } = await publish('begun')
  const next = await mkdtemp(join(dir, 'next-'))
  const other = await openDatabase(next, files, { threads: 1 })
  const begun = await Bases.open({
    dir: join(next, 'bases'),
    database: other.path,
    from: databaseOf(files),
  })
  try {
    await other.sql.run('UPDATE t SET weight = random() WHERE i % 20 = 3')
    expect(await begun.isDue()).toBe(false)
    await begun.publish(await mkdtemp(join(dir, 'version-')))
    await begun.close()
    const inodes = async () =>
      new Set(
        await Promise.all(
          (await readdir(join(next, 'bases'))).map(async name => (await stat(join(next, 'bases', name))).ino),
        ),
      )
    const before = await inodes()
    expect(before.size).toBe(2)
    await begun.renew(other.sql)
    const version = await mkdtemp(join(dir, 'version-'))
    const made = await begun.publish(version)
    expect(before).toContain((await stat(join(version, 'model.duckdb'))).ino)
    expect(manifestDigest((await blockManifest(join(version, 'model.duckdb'))).blocks)).toBe(made[0]?.sha256)
    expect(await querySnapshot({ 'model.duckdb': join(version, 'model.duckdb') }, digest)).toEqual(
      await other.sql.all(digest),
    )
    expect(await querySnapshot(files, digest)).toEqual(await db.sql.all(digest))
  } finally {
    await begun.close()
    other.close()
  }
})

test('only the files of versions, of the present base, and of one to be patched are on disk', async () => {
  await db.sql.run('CREATE TABLE t AS SELECT i, random() AS weight FROM range(100000) r (i)')
  const folders: string[] = []
  for (let n = 0; n < 8; n++) {
    await db.sql.run(`UPDATE t SET weight = random() WHERE i = ${n}`)
    await bases.renew(db.sql)
    folders.push((await publish(String(n))).folder)
    if (folders.length > 1) await rm(folders.shift() ?? '', { recursive: true })
  }
  const files = await Promise.all(
    Array.from({ length: 9 }, (_, n) => stat(join(dir, 'bases', `${n}.duckdb`)).catch(() => null)),
  )
  expect(files.filter(file => file !== null).length).toBeLessThanOrEqual(2)
})

test('bases whose versions go while a later one is current go with the next version, but for one to be patched', async () => {
  await db.sql.run('CREATE TABLE t AS FROM range(1000) r (i)')
  const folders: string[] = []
  for (let n = 0; n < 5; n++) {
    await db.sql.run(`INSERT INTO t VALUES (${n})`)
    await bases.renew(db.sql)
    folders.push((await publish(String(n))).folder)
  }
  const onDisk = async () => (await readdir(join(dir, 'bases'))).length
  expect(await onDisk()).toBe(5)
  // Somebody held them all until now, so none was retired when a new base was made.
  for (const folder of folders) await rm(folder, { recursive: true })
  await db.sql.run('INSERT INTO t VALUES (7)')
  const { files } = await publish('next')
  expect(await onDisk()).toBe(2)
  expect(await querySnapshot(files, digest)).toEqual(await db.sql.all(digest))
})

test.skipIf(!disk)(
  onDisk(disk, 'the file to be patched is not made where it would fill the disk, nor tried with each version'),
  async () => {
    if (!disk) return
    const small = await mkdtemp(join(disk.dir, 'bases-'))
    const other = await openDatabase(small, null, { threads: 1 })
    const onSmall = await Bases.open({ dir: join(small, 'bases'), database: other.path, from: null })
    try {
      await other.sql.run('CREATE TABLE t AS SELECT i, random() AS weight FROM range(300000) r (i)')
      await onSmall.renew(other.sql)
      const spares = async () => {
        await other.sql.run('UPDATE t SET weight = random() WHERE i % 20 = 3')
        const version = await mkdtemp(join(small, 'version-'))
        await onSmall.publish(version)
        await onSmall.close()
        await rm(version, { recursive: true })
        return (await readdir(join(small, 'bases'))).length - 1
      }
      const { size } = await stat(other.path)
      const makeRoom = await disk.fill(1.8 * size)
      expect(await spares()).toBe(0)
      await makeRoom()
      expect(await spares()).toBe(0)
    } finally {
      other.close()
    }
  },
)

test.skipIf(!disk)(
  onDisk(disk, 'a new base that there is no room for leaves the version that it was begun behind, and ends the writer'),
  async () => {
    if (!disk) return
    const small = await mkdtemp(join(disk.dir, 'writer-'))
    const dir = await mkdtemp(join(small, 'scratch-'))
    const { kind } = HEAPS[0] ?? expect.fail()
    await using model = await WriterModel.open(kind, { dir })
    await model.call('shovel', { statement: many(5000) })
    const versions: string[] = []
    const next = async () => {
      await model.call('shovel', { statement: many(1) })
      const version = join(small, `version ${model.writer.version}`)
      await model.writer.snapshot(version)
      versions.push(version)
      if (versions.length > 3) await rm(versions.shift() ?? '', { recursive: true })
    }
    // The file that is to be patched is there whole: else what is written of it yet takes the room of the versions.
    const sizesOfBases = async () => {
      const names = await readdir(join(dir, 'bases')).catch(() => [])
      return Promise.all(names.map(async name => (await stat(join(dir, 'bases', name)).catch(() => null))?.size))
    }
    for (let sizes = await sizesOfBases(); sizes.length < 2 || sizes[0] !== sizes[1]; sizes = await sizesOfBases())
      await next()
    // Versions go on to have room, and a checkpoint has none.
    const makeRoom = await disk.fill(200_000)
    const failure = await untilItFails(next)
    expect(failure).toBeInstanceOf(SurroundingsError)
    await makeRoom()
    const last = versions.at(-1) ?? ''
    const files = Object.fromEntries((await readdir(last)).map(name => [name, join(last, name)]))
    const rows = 'SELECT count(*)::INTEGER AS rows FROM things'
    const [found] = await querySnapshot(files, rows)
    expect(found?.rows).toBe(5000 + model.writer.version - 1)
    await model.reopen(files)
    await model.call('shovel', { statement: many(1) })
    expect(await querySnapshot((await model.snapshot()).files, rows)).toEqual([{ rows: Number(found?.rows) + 1 }])
  },
)

async function untilItFails(next: () => Promise<void>): Promise<unknown> {
  for (let n = 0; n < 200; n++) {
    try {
      await next()
    } catch (error) {
      return error
    }
  }
  return null
}

test('beside the base before, a file to be patched is made only where that one is kept until a new one is near', async () => {
  await db.sql.run('CREATE TABLE t AS SELECT i, random() AS weight FROM range(100000) r (i)')
  await bases.renew(db.sql)
  const kept = await publish('kept')
  const next = async (statement: string) => {
    await db.sql.run(statement)
    await rm((await publish('next')).folder, { recursive: true })
    await bases.close()
    return (await readdir(join(dir, 'bases'))).length
  }
  expect(await next('UPDATE t SET weight = random() WHERE i % 200 = 3')).toBe(2)
  await bases.renew(db.sql)
  const found: number[] = []
  while (!(await bases.isDue())) found.push(await next('DELETE FROM t WHERE rowid = (SELECT max(rowid) FROM t)'))
  expect([found[0], found.at(-1)]).toEqual([2, 3])
  expect(await querySnapshot(kept.files, 'SELECT count(*)::INTEGER AS rows FROM t')).toEqual([{ rows: 100_000 }])
})

test('the base that a scenario began with has no name with it once another is current', async () => {
  await db.sql.run('CREATE TABLE t AS FROM range(100000) r (i)')
  await bases.renew(db.sql)
  const { files } = await publish('source')
  const folder = await mkdtemp(join(dir, 'scenario-'))
  const scenario = await openDatabase(folder, files, { threads: 1 })
  const from = databaseOf(files)
  const shared = await Bases.open({ dir: join(folder, 'bases'), database: scenario.path, from, isShared: true })
  try {
    const { nlink } = await stat(from)
    expect(await shared.isDue()).toBe(false)
    await scenario.sql.run('INSERT INTO t VALUES (7)')
    await shared.publish(await mkdtemp(join(dir, 'version-')))
    expect((await stat(from)).nlink).toBe(nlink + 1)
    await shared.renew(scenario.sql)
    expect((await stat(from)).nlink).toBe(nlink)
    await shared.publish(await mkdtemp(join(dir, 'version-')))
  } finally {
    await shared.close()
    scenario.close()
  }
})
