import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { StatementType } from '@duckdb/node-api'
import type { Kinds } from '../../../kinds/kind.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import { closeInheritedFiles } from '../../../platform/inherited-files.ts'
import type { QueryRun } from '../../arrow/query-run.ts'
import type { ResultColumn } from '../../engine.ts'
import { SnapshotDamaged } from '../../snapshot-damaged.ts'
import { literalPath } from '../imports/record-file.ts'
import { inMemory } from '../in-memory.ts'
import { readError } from '../read-errors.ts'
import { DuckDBSql, literal, quoted } from '../sql.ts'
import { LockedSnapshot } from './locked-snapshot.ts'
import { type FromQueryProcess, type QueryJob, RESULT_FILE, versionsOf } from './messages.ts'
import { resultTooLarge, statementError } from './query-errors.ts'
import { functionColumns, functionSelect, type ResultSelect, sqlSelect } from './select.ts'

/*
 * The process in which a query runs that somebody wrote: `query-program FOLDER MEMORY THREADS [KINDS]`. It is killed to
 * end one; what it finds in a snapshot it writes to its folder, and says so to its parent.
 */

closeInheritedFiles()
const [folder = '', memory = '', threads = '', directory] = process.argv.slice(2)
const result = join(folder, RESULT_FILE)

/** The versions that are open, for the next query of the same. */
let open: { key: string; snapshot: LockedSnapshot } | undefined

async function snapshotOf(job: QueryJob): Promise<LockedSnapshot> {
  const key = versionsOf(job)
  if (open?.key === key) return open.snapshot
  open?.snapshot.close()
  open = undefined
  const snapshot = await LockedSnapshot.open(job, { folder, memory, threads })
  open = { key, snapshot }
  return snapshot
}

async function run(job: QueryJob): Promise<FromQueryProcess> {
  const { work, frames } = job
  if (work.is === 'function' && frames) return runOverFrames(job, { ...frames, args: work.args }, work.name)
  const snapshot = await snapshotOf(job)
  return snapshot.use(async (connection, sql) => {
    const reads = new DuckDBSql(connection, type => {
      if (type !== StatementType.SELECT) throw new Error(`a query runs SELECTs, and no ${StatementType[type]}`)
    })
    const select =
      work.is === 'sql'
        ? await sqlSelect(
            connection,
            reads,
            work,
            job.snapshot.tables.map(({ name }) => name),
          )
        : await functionSelect(reads, await queryOf(job.snapshot.kind, work.name), work.args, snapshot)
    return {
      is: 'done',
      result: { columns: select.columns, rows: job.checkOnly ? 0 : await write(sql, select, job) },
    }
  })
}

/** Few ask for it, and everybody would wait for its modules. */
async function kindsAsDefined(): Promise<Kinds> {
  const { loadKinds } = await import('../../../kinds/registry.ts')
  return loadKinds({ directory })
}

async function queryOf(kind: string, name: string, kinds?: Kinds) {
  const query = (kinds ?? (await kindsAsDefined())).get(kind)?.queries.get(name)
  if (!query) throw new Error(`kind ${kind} has no query ${name}`)
  return query
}

async function runOverFrames(job: QueryJob, run: QueryRun, name: string): Promise<FromQueryProcess> {
  const kinds = await kindsAsDefined()
  const query = await queryOf(job.snapshot.kind, name, kinds)
  const { pageOfRun, writeQuery } = await import('../../arrow/query-run.ts')
  if (job.page) {
    const { total, ...rows } = await pageOfRun(query, run, { kinds, dir: folder, page: job.page })
    return { is: 'page', rows: { ...rows, total: total === null ? null : String(total) } }
  }
  const to = job.checkOnly ? null : result
  const rows = await writeQuery(query, run, { kinds, dir: folder, to, most: job.rows })
  const columns = functionColumns(query)
  if (to !== null) await inMemory(null, sql => checkResult(sql, columns, rows, job))
  return { is: 'done', result: { columns, rows } }
}

/** Writes the result, in the SELECT's order. */
async function write(sql: DuckDBSql, { text, params, columns }: ResultSelect, job: QueryJob): Promise<number> {
  const [written] = await sql.all(
    `COPY (${text} LIMIT ${job.rows + 1}) TO ${literal(result)} (FORMAT parquet, COMPRESSION zstd)`,
    params,
  )
  const rows = Number(written?.Count)
  await checkResult(sql, columns, rows, job)
  return rows
}

/** @throws TeatreeError RESULT_TOO_LARGE */
async function checkResult(
  sql: DuckDBSql,
  columns: readonly ResultColumn[],
  rows: number,
  job: QueryJob,
): Promise<void> {
  if (rows > job.rows)
    throw new TeatreeError('RESULT_TOO_LARGE', `The result has more than ${job.rows} rows; select less.`)
  // A text that comes again and again takes next to nothing in the file, and its length each time it is read.
  const texts = columns.filter(({ stored }) => stored === 'VARCHAR').map(({ name }) => `strlen(${quoted(name)})`)
  if (texts.length === 0) return
  const sums = texts.map(length => `coalesce(sum(${length}), 0)`).join(' + ')
  const [read] = await sql.all(
    `SELECT ${sums} > ${job.bytes} AS "isTooLarge" FROM read_parquet(${literal(literalPath(result))})`,
  )
  if (read?.isTooLarge) throw resultTooLarge(job.bytes)
}

function answer(message: FromQueryProcess): void {
  process.send?.(message)
}

// Without the process that asked there is nobody to do it for, and what runs in native code hears of no exit.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.on('message', async (job: QueryJob) => {
  try {
    answer(await run(job))
  } catch (error) {
    const shown = statementError(error)
    if (shown) {
      const { code, message, cells, details } = shown
      answer({ is: 'refused', code, message, cells, details })
      return
    }
    const is = readError(error) instanceof SnapshotDamaged ? 'damaged' : 'failed'
    answer({ is, reason: String((error instanceof Error && error.stack) || error) })
  }
})

// What compiling has brought is kept at an exit, and this process never comes to one.
flushCompileCache()
