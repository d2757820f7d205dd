import { appendFileSync, fstatSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { type Change, changesWith, planted } from './bugs.ts'

/*
 * Runs in every process of a platform under test, before anything of the platform does: what the harness can do to it that
 * cannot be done from outside. The platform's code knows nothing of it.
 */

const ROOT = new URL('../../../', import.meta.url)
const { TEATREE_TEST_CLOCK_MS, TEATREE_TEST_SYNCED, TEATREE_TEST_BUG } = process.env

/** The wall clock is an hour wrong, say; the monotonic one is as ever. */
function shiftClock(ms: number): void {
  const now = Date.now.bind(Date)
  Date.now = () => now() + ms
  globalThis.Date = new Proxy(Date, {
    construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now() + ms] : args, made),
    apply: () => new Date().toString(),
  })
}

/** Notes which files are on disk, as they were when that was asked for: what a loss of power would leave of them. */
async function noteSynced(journal: string): Promise<void> {
  const handle = await open(import.meta.filename)
  const methods = Object.getPrototypeOf(handle) as Record<'sync' | 'datasync', () => Promise<void>>
  await handle.close()
  for (const name of ['sync', 'datasync'] as const) {
    const original = methods[name]
    methods[name] = async function (this: { fd: number }) {
      const { dev, ino, size, mtimeNs } = fstatSync(this.fd, { bigint: true })
      await original.call(this as never)
      appendFileSync(journal, `${dev}:${ino} ${size} ${mtimeNs}\n`)
    }
  }
}

function plant(changes: readonly Change[]): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      const ours = changes.filter(({ file }) => url === new URL(file, ROOT).href)
      if (ours.length === 0 || loaded.source === undefined) return loaded
      const text =
        typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source as Uint8Array)
      return { ...loaded, source: ours.reduce(planted, text) }
    },
  })
}

if (TEATREE_TEST_CLOCK_MS) shiftClock(Number(TEATREE_TEST_CLOCK_MS))
if (TEATREE_TEST_SYNCED) await noteSynced(TEATREE_TEST_SYNCED)
plant(changesWith(TEATREE_TEST_BUG))
