import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadKinds } from '../kinds/registry.ts'
import { UsageError } from '../platform/errors.ts'
import { type CompareOptions, readOptions } from './compare/options.ts'
import { report } from './compare/report.ts'
import { compareOver, type Outcome } from './compare/run.ts'
import { showProgress } from './progress.ts'
import { abortOn } from './stop.ts'

/**
 * `teatree compare`: the same function and queries on both engines over the same made-up data, side by side in time, memory,
 * disk and what versions cost, with every cell compared. It needs neither a server nor a database, and leaves nothing behind.
 * @throws UsageError where the engines differ, too, once it has been printed
 */
export async function compare(options: CompareOptions): Promise<void> {
  const kinds = await loadKinds()
  const comparison = readOptions(kinds, options)
  const signal = abortOn(['SIGTERM', 'SIGINT'])
  const outcomes: Outcome[] = []
  for (const rows of comparison.rows) {
    await using stack = new AsyncDisposableStack()
    const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-compare-')), path =>
      rm(path, { recursive: true, force: true }),
    )
    // What is printed as JSON is read by programs.
    using progress = showProgress('Comparing', options.json ? process.stderr : process.stdout)
    try {
      const outcome = await compareOver(rows, {
        ...{ comparison, kinds, dir, signal },
        onStep: (step, share) => progress.at(step, share),
      })
      outcomes.push(outcome)
      progress.done(`${outcome.sales} sales`)
      if (!options.json) process.stdout.write(`\n${report(outcome)}\n`)
    } catch (error) {
      if (signal.aborted) throw new UsageError('stopped')
      if (isFull(error)) throw new UsageError(`the disk of ${tmpdir()} is full; make room, or set TMPDIR`)
      throw error
    }
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ ...machine(), outcomes }, null, 2)}\n`)
  if (outcomes.some(({ differences }) => differences === null))
    throw new UsageError('a task needed more memory than it may have; give it more with --memory, or fewer rows')
  if (outcomes.some(({ differences }) => differences?.length)) throw new UsageError('the engines differ')
}

const isFull = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes(String((error as { code?: unknown }).code))

const machine = () => ({ node: process.version, cores: cpus().length, processor: cpus()[0]?.model ?? 'unknown' })
