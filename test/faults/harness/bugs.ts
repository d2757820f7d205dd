import { readFileSync } from 'node:fs'

/** A change of the platform's source as it is loaded. */
export interface Change {
  file: string
  from: string
  to: string
}

/** Which of the invariants the checker has to say are broken; any of them will do. */
export interface PlantedBug {
  breaks: readonly number[]
  /** The faults among which it shows. */
  faults: readonly string[]
  changes: readonly Change[]
}

/**
 * What is other in the platform of every schedule, with and without a bug: it keeps all promises so, and comes to what it would
 * come to under more load than there is here.
 */
export const ALWAYS: readonly Change[] = [
  // The next batch is taken while one is applied only where more wait than one may have.
  { file: 'src/jobs/take.ts', from: 'export const MAX_BATCH = 2000', to: 'export const MAX_BATCH = 8' },
]

/**
 * Bugs that are planted in the source as a process loads it, to see that the harness catches them. None of them is in
 * the platform's own code; one that no longer fits it fails the run.
 */
export const BUGS: Readonly<Record<string, PlantedBug>> = {
  'no fencing': {
    breaks: [9],
    faults: ['an owner frozen before it publishes, which goes on beside its successor'],
    changes: [
      {
        file: 'src/jobs/publish.ts',
        from: 'WHERE id = $1 AND epoch = $2 AND ($4 = 0 OR version = $3) AND deleted_at IS NULL',
        to: 'WHERE id = $1 AND $2::integer IS NOT NULL AND ($4 = 0 OR version = $3) AND deleted_at IS NULL',
      },
    ],
  },
  'publish before fsync': {
    breaks: [8],
    faults: ['loss of power'],
    changes: [
      { file: 'src/platform/sync-path.ts', from: 'await handle.sync()', to: 'handle.stat' },
      { file: 'src/engine/duckdb/bases.ts', from: 'Promise.all([copy.sync(), syncPath(dir)])', to: 'syncPath(dir)' },
      { file: 'src/engine/duckdb/snapshot-files.ts', from: 'await target.sync()', to: 'target.stat' },
    ],
  },
  'a dropped intent': {
    breaks: [2, 6],
    // Many wait then, and share a batch.
    faults: ['everything frozen past the leases'],
    changes: [
      {
        file: 'src/jobs/batches.ts',
        from: 'this.#applied(writer, ready, version + 1)',
        to: 'this.#applied(writer, ready.length > 2 ? [ready[0], ...ready.slice(2)] : ready, version + 1).then(all => ready.length > 2 ? [all[0], all[0], ...all.slice(1)] : all)',
      },
    ],
  },
  'apply twice': {
    breaks: [2, 6],
    faults: ['kill -9 of managers'],
    changes: [
      {
        file: 'src/jobs/batches.ts',
        from: 'return await writer.apply(work, version)',
        // One of a batch from before, which others have come behind since.
        to: `if (work.some(({ change }) => ['function', 'import', 'copy'].includes(change.is))) return await writer.apply(work, version)
          const earlier = ((globalThis.earlier ??= {})[this.#deps.model] ??= [])
          const again = earlier.splice(0, Math.max(0, earlier.length - 5))
          earlier.push(work[0])
          return (await writer.apply([...again, ...work], version)).slice(again.length)`,
      },
    ],
  },
  'completion before publish': {
    breaks: [10],
    faults: ['kill -9 of managers'],
    changes: [
      {
        file: 'src/jobs/publish.ts',
        from: 'return await this.#db.transaction(tx => this.#write(tx, publication))',
        to: `await this.#db.transaction(async tx => {
          await logCompletions(tx, publication.model, publication.endings.map(({ intent }) => intent))
          await notifyEnded(tx, publication.model)
        })
        await new Promise(resolve => setTimeout(resolve, 200))
        return await this.#db.transaction(tx => this.#write(tx, publication))`,
      },
      { file: 'src/jobs/publish.ts', from: '      logCompletions(tx, model, intents),\n', to: '      null,\n' },
    ],
  },
  'archive of the wrong version': {
    breaks: [7],
    faults: ['kill -9 of managers'],
    changes: [
      {
        file: 'src/jobs/archive-version.ts',
        from: 'await mark(deps, of, tables, earlier)',
        to: 'await mark(deps, of, earlier?.tables ?? tables, earlier)',
      },
    ],
  },
}

/** The source with the change in it. @throws where it does not fit the source */
export function planted(source: string, { file, from, to }: Change): string {
  const places = source.split(from).length - 1
  if (places !== 1) throw new Error(`the change does not fit ${file}: what it changes is there ${places} times`)
  return source.replace(from, () => to)
}

/** What is changed of the platform's source, with this bug or none. */
export const changesWith = (bug?: string): readonly Change[] => [...ALWAYS, ...((bug && BUGS[bug]?.changes) || [])]

/** Whether every change fits the source as it is. */
export function checkChanges(root: URL): void {
  for (const bug of [undefined, ...Object.keys(BUGS)]) {
    const texts = new Map<string, string>()
    for (const change of changesWith(bug)) {
      const text = texts.get(change.file) ?? readFileSync(new URL(change.file, root), 'utf8')
      texts.set(change.file, planted(text, change))
    }
  }
}
