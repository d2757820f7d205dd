import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { Bases } from '../../src/engine/duckdb/bases.ts'
import { databaseOf, openDatabase } from '../../src/engine/duckdb/database.ts'
import { blockManifest, cloned } from '../../src/engine/duckdb/snapshot-files.ts'
import { querySnapshot } from './writer-model.ts'

/** A small file system that clones files, where this user may have one. */
const folder = mkdtempSync(join(tmpdir(), 'teatree-clones-'))
const disk = mount(join(folder, 'image'), join(folder, 'disk'))
afterAll(() => {
  if (disk) execFileSync('umount', ['--lazy', disk])
  rmSync(folder, { recursive: true, force: true })
})

function mount(image: string, at: string): string | null {
  writeFileSync(image, '')
  // XFS is not made smaller; of what is not written to, nothing takes room.
  truncateSync(image, 320 * 2 ** 20)
  mkdirSync(at)
  for (const make of [
    ['mkfs.xfs', '-q', '-m', 'reflink=1'],
    ['mkfs.btrfs', '-q'],
  ]) {
    try {
      execFileSync(make[0] ?? '', [...make.slice(1), image], { stdio: 'ignore' })
      execFileSync('mount', ['-o', 'loop', image, at], { stdio: 'ignore' })
      return at
    } catch {}
  }
  return null
}

const where = disk ? '' : ' (skipped: this user cannot make and mount a small XFS or Btrfs)'
const digest = 'SELECT count(*) AS rows, sum(hash(t)::HUGEINT) AS sum FROM t'
const WEIGHTS = 500_000

test.skipIf(!disk)(
  `where files can be cloned, new bases are clones that take no more room than what changed${where}`,
  async () => {
    const dir = await mkdtemp(join(disk ?? '', 'model-'))
    const db = await openDatabase(dir, null, { threads: 1 })
    const bases = await Bases.open({ dir: join(dir, 'bases'), database: db.path, from: null })
    try {
      await db.sql.run(`CREATE TABLE t AS SELECT i, random() AS weight FROM range(${WEIGHTS}) r (i)`)
      await bases.renew(db.sql)
      expect(await cloned(db.path, join(dir, 'clone'))).toBe(true)
      await rm(join(dir, 'clone'))
      const before = await used()
      const kept: { files: Record<string, string>; digest: unknown }[] = []
      for (let n = 0; n < 12; n++) {
        await db.sql.run(`UPDATE t SET weight = random() WHERE i = ${n}; DELETE FROM t WHERE i = ${100 + n}`)
        if (n % 3 > 0) await bases.renew(db.sql)
        const folder = join(dir, `version ${n}`)
        await mkdir(folder)
        const made = await bases.publish(folder)
        const files = Object.fromEntries(made.map(({ name }) => [name, join(folder, name)]))
        expect(manifestDigest((await blockManifest(databaseOf(files))).blocks)).toBe(made[0]?.sha256)
        expect(made.length).toBe(n % 3 > 0 ? 1 : 2)
        kept.push({ files, digest: await db.sql.all(digest) })
      }
      // All twelve are there, none was written over, and copies of them would have taken many times the room.
      for (const { files, digest: was } of kept) expect(await querySnapshot(files, digest)).toEqual(was)
      const copies = 8 * (await blockManifest(db.path)).bytes
      expect((await used()) - before).toBeLessThan(copies / 2)
    } finally {
      await bases.close()
      db.close()
      await rm(dir, { recursive: true })
    }
  },
)

async function used(): Promise<number> {
  execFileSync('sync', ['-f', disk ?? ''])
  const { bsize, blocks, bfree } = await statfs(disk ?? '')
  return bsize * (blocks - bfree)
}
