import { on } from 'node:events'
import { watch } from 'node:fs'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { arg, defineFunction, defineKind } from 'teatree'

const ENTRY = { entryId: 'VARCHAR', note: 'VARCHAR' } as const

const crash = defineFunction({
  description: 'Takes its manager down, each time, after it has written.',
  arguments: {},
  result: { name: 'Crashed', description: 'Never seen.', columns: { entries: 'BIGINT' } },
  engines: {
    DUCKDB: async ({ sql, intentId }) => {
      await sql.run('INSERT INTO entries VALUES ($intentId, NULL)', { intentId })
      process.kill(process.pid, 'SIGKILL')
      return { entries: '1' }
    },
    ARROW: async ({ append, frame, intentId }) => {
      await append('entries', frame(ENTRY, [{ entryId: intentId }]))
      process.kill(process.pid, 'SIGKILL')
      return { entries: '1' }
    },
  },
})

const spin = defineFunction({
  description: 'Never comes back to the event loop of its manager, after it has written.',
  arguments: {},
  result: { name: 'Spun', description: 'Never seen.', columns: { entries: 'BIGINT' } },
  engines: {
    DUCKDB: async ({ sql, intentId }) => {
      await sql.run('INSERT INTO entries VALUES ($intentId, NULL)', { intentId })
      return hang()
    },
    ARROW: async ({ append, frame, intentId }) => {
      await append('entries', frame(ENTRY, [{ entryId: intentId }]))
      return hang()
    },
  },
})

const linger = defineFunction({
  description: 'Writes, and is not done before there is a file.',
  arguments: { until: arg.varchar({ description: 'The path of the file, whose folder is there.' }) },
  result: { name: 'Lingered', description: 'What linger did.', columns: { entries: 'BIGINT' } },
  timeoutSeconds: 600,
  engines: {
    DUCKDB: async ({ args, sql, intentId, signal, step }) => {
      await sql.run('INSERT INTO entries VALUES ($intentId, NULL)', { intentId })
      await step('waiting', () => untilThere(args.until, signal))
      return { entries: '1' }
    },
    ARROW: async ({ args, append, frame, intentId, signal, step }) => {
      await append('entries', frame(ENTRY, [{ entryId: intentId }]))
      await step('waiting', () => untilThere(args.until, signal))
      return { entries: '1' }
    },
  },
})

const follow = defineFunction({
  description: 'Runs by itself: notes which versions of the models that it reads have arrived.',
  arguments: {},
  result: { name: 'Followed', description: 'What follow saw.', columns: { models: 'INTEGER' } },
  runsOn: 'trial',
  engines: {
    DUCKDB: async ({ sql, reads }) => {
      for (const { model, version } of reads)
        await sql.run(
          'DELETE FROM seen WHERE model = $model; INSERT INTO seen VALUES ($model, CAST($version AS INTEGER))',
          { model, version },
        )
      return { models: reads.length }
    },
    ARROW: async ({ frame, reads, upsert }) => {
      const sights = reads.map(({ model, version }) => ({ model, version }))
      await upsert('seen', frame({ model: 'VARCHAR', version: 'INTEGER' }, sights))
      return { models: reads.length }
    },
  },
})

/** As an endless loop does, but for the processor's time. */
function hang(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

async function untilThere(path: string, signal: AbortSignal): Promise<void> {
  const watcher = watch(dirname(path))
  try {
    const changes = on(watcher, 'change', { signal })
    while (!(await isThere(path))) await changes.next()
  } finally {
    watcher.close()
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** What tests of faults run: functions that kill and hang, one that waits, and one that is started by others of its kind. */
export default defineKind({
  name: 'trial',
  description: 'Entries, and what was seen of other trials.',
  engines: ['DUCKDB', 'ARROW'],
  tables: {
    entries: {
      row: 'Entry',
      description: 'What was written.',
      columns: { entryId: 'VARCHAR', note: 'VARCHAR?' },
      key: ['entryId'],
      writes: ['append', 'upsert', 'update', 'delete', 'import'],
    },
    seen: {
      row: 'Sight',
      description: 'The version of another trial that was seen last.',
      columns: { model: 'VARCHAR', version: 'INTEGER' },
      key: ['model'],
      writes: [],
    },
  },
  functions: { crash, spin, linger, follow },
})
