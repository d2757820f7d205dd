import type { Kind } from '../../kinds/kind.ts'
import type { AggregatePlan } from '../plan.ts'
import { type PlanRead, tableRead } from '../plan-reads.ts'
import { countOfGroups, pageOfGroups, planOfCount } from './groups.ts'
import type { TableFile } from './manifest.ts'
import { TooMuchMemory } from './memory-budget.ts'
import { groupsOfPartials, isPartial, partialsOfRows, partialsTogether } from './partial-groups.ts'
import { askedOfRows } from './plan-frames.ts'
import pl, { type DataFrame, type LazyDataFrame } from './polars.ts'
import type { Asked } from './rows.ts'
import type { VersionTables } from './version-tables.ts'
import type { Frames } from './where.ts'

/*
 * Reads of more rows than may be in memory at once: Polars neither spills nor keeps to a bound, so that the table is read one part
 * after the other, and what has come of these by then is put together with what comes of the next. How much that is, is known before
 * more is computed: of groups there may be as many as rows.
 */

/** How a read is made of those of parts of its table. */
interface InParts {
  ofPart(frames: Frames): LazyDataFrame
  together(all: LazyDataFrame): LazyDataFrame
  answer(all: LazyDataFrame): Asked
}

/** Null of a read that has to have all rows at once. */
function inParts(tables: VersionTables, read: PlanRead): InParts | null {
  const { kind } = tables
  switch (read.is) {
    case 'groups':
      return groupsInParts(kind, read.plan, pageOfGroups)
    case 'count of groups':
      return groupsInParts(kind, planOfCount(read.plan), countOfGroups)
    default: {
      const asked = askedOfRows(tables, read)
      return {
        ofPart: frames => askedOfRows(frames, read).frame,
        together: all => asked.together(all),
        answer: all => ({ ...asked, frame: all }),
      }
    }
  }
}

function groupsInParts(kind: Kind, plan: AggregatePlan, answer: typeof pageOfGroups): InParts | null {
  if (!isPartial(kind, plan)) return null
  return {
    ofPart: frames => partialsOfRows(frames, plan),
    together: all => partialsTogether(kind, plan, all),
    answer: all => answer(kind, plan, groupsOfPartials(kind, plan, all)),
  }
}

/**
 * What the read is answered with, of a table of which so many rows are read at once.
 * @param most how many rows there may be of a part, and of what comes of all
 * @throws TooMuchMemory where there are more; the signal's reason
 */
export async function readInParts(
  tables: VersionTables,
  read: PlanRead,
  { most, signal }: { most: number; signal: AbortSignal },
): Promise<Asked> {
  const way = most >= 1 ? inParts(tables, read) : null
  if (!way) throw new TooMuchMemory()
  let all: DataFrame | undefined
  for (const part of partsOf(tables.filesFor(read), most)) {
    signal.throwIfAborted()
    const found = await way.ofPart(framesOf(tables, read, part)).collect()
    all = all ? await way.together(pl.concat([all.lazy(), found.lazy()])).collect() : found
    if (all.height > most) throw new TooMuchMemory()
  }
  if (!all) throw new Error('a read has one part at least')
  return way.answer(all.lazy())
}

/** Rows of a file: so many, from one on. */
interface Slice {
  file: TableFile
  from: number
  rows: number
}

/** The rows of the files in their order, in parts; of no files one, of no rows. */
function partsOf(files: readonly TableFile[], most: number): Slice[][] {
  const parts: Slice[][] = [[]]
  let room = most
  for (const file of files) {
    for (let from = 0; from < file.rows; ) {
      if (room === 0) {
        parts.push([])
        room = most
      }
      const rows = Math.min(room, file.rows - from)
      parts.at(-1)?.push({ file, from, rows })
      from += rows
      room -= rows
    }
  }
  return parts
}

/** The version's tables, with those rows in place of all of the table that is read; what references lead to is whole. */
function framesOf(tables: VersionTables, read: PlanRead, part: readonly Slice[]): Frames {
  const table = tableRead(read)
  const slices = part.map(({ file, from, rows }) => {
    const frame = tables.frameOf(table, [file])
    return from === 0 && rows === file.rows ? frame : frame.slice(from, rows)
  })
  const [first = tables.frameOf(table, []), ...more] = slices
  const rows = more.length === 0 ? first : pl.concat(slices)
  // Only who reads the table itself says what for: a reference may lead to the same table.
  return { kind: tables.kind, frame: (name, some) => (some ? rows : tables.frame(name)) }
}
