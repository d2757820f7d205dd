import { constants, copyFile, type FileHandle, open } from 'node:fs/promises'
import { type Field, Type } from 'apache-arrow'
import { readWhole, writeWhole } from '../duckdb/snapshot-files.ts'
import { type IpcMessage, ipcMessages } from './ipc-messages.ts'

/** What is to be in a column: the bytes of one value, as Arrow has it. */
export type Cells = ReadonlyMap<string, Buffer>

/** Some rows of a column that lie in the file one behind the other, from `offset`. */
interface Run {
  cell: Buffer
  offset: number
  /** Of this run. */
  rows: Uint32Array
}

/**
 * Copies an Arrow file, and sets cells in the copy: who reads through what stays as it is takes ten times as long. False, and no
 * copy is made, where that is not all that there is to be done: where a column has nulls, or is not laid out value by value.
 * @param rows in which rows of the file, ascending
 */
export async function setCells(from: string, to: string, rows: Uint32Array, cells: Cells): Promise<boolean> {
  const runs = await runsIn(from, rows, cells)
  if (runs === null) return false
  await copyFile(from, to, constants.COPYFILE_FICLONE)
  const file = await open(to, 'r+')
  try {
    for (const run of runs) await write(file, run)
  } finally {
    await file.close()
  }
  return true
}

/** From the first of its rows to the last, in one go. */
async function write(file: FileHandle, { cell, offset, rows }: Run): Promise<void> {
  const [first = 0, last = 0] = [rows[0], rows.at(-1)]
  const width = cell.length
  const bytes = Buffer.alloc((last - first + 1) * width)
  const at = offset + first * width
  if ((await readWhole(file, bytes, at)).length < bytes.length) throw new Error('the file ends before its columns do')
  for (const row of rows) cell.copy(bytes, (row - first) * width)
  await writeWhole(file, bytes, at)
}

async function runsIn(path: string, rows: Uint32Array, cells: Cells): Promise<Run[] | null> {
  const runs: Run[] = []
  let fields: readonly Field[] = []
  let [before, next] = [0, 0]
  for await (const message of ipcMessages(path)) {
    if (message.is === 'schema') fields = message.schema.fields
    else if (message.is !== 'batch') return null
    else {
      const begin = next
      while ((rows[next] ?? Number.POSITIVE_INFINITY) < before + message.rows) next++
      const within = rows.subarray(begin, next).map(row => row - before)
      before += message.rows
      if (within.length === 0) continue
      for (const [name, cell] of cells) {
        const offset = valuesOf(fields, message, name, cell.length)
        if (offset === null) return null
        runs.push({ cell, offset, rows: within })
      }
    }
  }
  if (next < rows.length) throw new Error(`the file has no row ${rows[next]}`)
  return runs
}

type Batch = Extract<IpcMessage, { is: 'batch' }>

/** Where the values of a column begin in the file; null where they have another width, are not all there, or are not laid out as they are. */
function valuesOf(fields: readonly Field[], { rows, body, layout }: Batch, name: string, width: number): number | null {
  if (layout.compression !== null) return null
  let [buffer, texts] = [0, 0]
  for (const [index, field] of fields.entries()) {
    const isText = field.type.typeId === Type.Utf8View
    if (!isText && !FIXED.has(field.type.typeId)) return null
    if (field.name === name) {
      const values = layout.buffers[buffer + 1]
      const isWhole = !isText && layout.nodes[index]?.nullCount === 0 && values?.length === rows * width
      return isWhole ? body + values.offset : null
    }
    // Validity and values; and of texts what is longer than a view has room for.
    buffer += 2 + (isText ? (layout.variadicBufferCounts[texts++] ?? 0) : 0)
  }
  return null
}

const FIXED: ReadonlySet<Type> = new Set([Type.Int, Type.Float, Type.Decimal, Type.Bool, Type.Date, Type.Timestamp])
