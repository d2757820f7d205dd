import type { Table } from '../../kinds/kind.ts'
import { tableFrame } from './frames.ts'
import { joinedRanges } from './key-ranges.ts'
import { rowsIn } from './row-writes.ts'
import type { ScratchFile, ScratchFiles } from './scratch-files.ts'
import { fileRows } from './write-rows.ts'

/** Neighbouring files that are to become one: `[from, to)` of a table's files. */
interface Run {
  from: number
  to: number
}

/**
 * The last files of a table, as far as each is no larger than those behind it together. Their sizes fall so that there are few of them,
 * and a row is written again only when it comes to be in a file at least twice as large:
 *
 *   4096 │ 512 │ 40 │ 10 │ 10     ▶     4096 │ 512 │ 60
 */
export function lastRun(files: readonly ScratchFile[]): Run | null {
  const most = fileRows(rowsIn(files))
  let from = files.length - 1
  let rows = files[from]?.rows ?? 0
  for (;;) {
    const before = files[from - 1]
    if (!before || before.rows > rows || before.rows + rows > most) break
    rows += before.rows
    from -= 1
  }
  return files.length - from > 1 ? { from, to: files.length } : null
}

/** The first neighbours anywhere of which none is larger than the others together, as deletes leave them behind. */
export function anyRun(files: readonly ScratchFile[]): Run | null {
  const most = fileRows(rowsIn(files))
  for (let from = 0; from < files.length - 1; from++) {
    let rows = 0
    let largest = 0
    let to = from
    for (; to < files.length; to++) {
      const size = files[to]?.rows ?? 0
      if (rows + size > most) break
      rows += size
      largest = Math.max(largest, size)
    }
    if (to - from > 1 && largest <= rows - largest) return { from, to }
  }
  return null
}

/** The table's files with those of the run as one: the same rows in the same order. */
export async function merged(
  scratch: ScratchFiles,
  table: Table,
  files: readonly ScratchFile[],
  { from, to }: Run,
): Promise<readonly ScratchFile[]> {
  const run = files.slice(from, to)
  const frame = tableFrame([...table.columns.values()], run, name => scratch.path(name))
  const ranges = joinedRanges(
    table,
    run.map(file => file.ranges),
  )
  const file = await scratch.write(table, frame, { rows: rowsIn(run), ranges })
  return [...files.slice(0, from), ...(file ? [file] : []), ...files.slice(to)]
}
