import { decimalOf, type LogicalType, type TypeName, typeName } from '../../../kinds/types.ts'
import { shown } from '../../../kinds/values.ts'
import { type CellError, MAX_CELLS, TeatreeError } from '../../../platform/errors.ts'
import { type DuckDBSql, quoted } from '../sql.ts'
import { STAGE } from '../stage.ts'
import { exactCast, TEXT } from './casts.ts'
import type { Fill } from './fills.ts'
import type { Source } from './source.ts'

/** What rows are cast into: the columns of a stage (../stage.ts), and `_bad`, how many cells of the row are at fault. */
export interface CastInto {
  /** The statement that makes it of a SELECT. */
  make(select: string): string
  /** What it is by then, as SQL for FROM. */
  relation: string
}

/** The stage itself. */
export const INTO_STAGE: CastInto = {
  make: select => `CREATE OR REPLACE TEMP TABLE ${STAGE} AS ${select}`,
  relation: STAGE,
}

/**
 * Casts the source's rows into a stage, or what stands for one: every cell is checked in the same pass, and only where cells are
 * at fault does a second one say which.
 * @throws TeatreeError BAD_VALUE with the first cells at fault, and how many there are as details.badCells
 */
export async function fillStage(sql: DuckDBSql, { make, relation }: CastInto, source: Source): Promise<void> {
  const values = source.fills.map(({ column }, index) => `v${index} AS ${quoted(column.name)}`)
  const faults = source.fills.map((fill, index) => `CAST(${isBad(fill, index, source)} AS INTEGER)`)
  try {
    await sql.run(
      make(`SELECT ${values.join(', ')}, _row, _line, 0 AS _intent,
        CAST(${faults.join(' + ')} AS INTEGER) AS _bad FROM ${castRows(source, source.relation)}`),
    )
    const [found] = await sql.all(`SELECT count(*) AS records, CAST(sum(_bad) AS BIGINT) AS bad FROM ${relation}`)
    if (source.records !== undefined && Number(found?.records) !== source.records) {
      throw new Error(`${source.records} records were written down and ${found?.records} were read back`)
    }
    const badCells = Number(found?.bad ?? 0)
    if (badCells > 0) throw await badValue(sql, relation, source, badCells)
  } catch (error) {
    throw source.readError(error)
  }
}

/** The source's rows as a SELECT of the table's columns, which fails where a cell is at fault. */
export function soundRows(source: Source): string {
  const values = source.fills.map(
    (fill, index) => `CASE WHEN ${isBad(fill, index, source)} THEN error('a cell is at fault') ELSE v${index} END`,
  )
  return `SELECT ${values.join(', ')} FROM ${castRows(source, source.cells)}`
}

/** A relation of the source with a further column for each fill: v0, v1 … its value, null where it cannot be one. */
function castRows({ fills }: Source, relation: string): string {
  const values = fills.map(({ column, position, type }, index) => {
    const cast = position === null ? `CAST(NULL AS ${column.type})` : exactCast(`c${position}`, type, column.type)
    return `${cast} AS v${index}`
  })
  return `(SELECT *, ${values.join(', ')} FROM ${relation})`
}

/** Whether the cell of a row of castRows is at fault: a value is missing, or was refused. Never null. */
function isBad({ column, position }: Fill, index: number, { nested }: Source): string {
  const empty = `v${index} IS NULL`
  if (!column.nullable) return `(${empty})`
  if (position === null) return 'FALSE'
  const refused = `(c${position} IS NOT NULL AND ${empty})`
  return nested ? `(${refused} OR ${isNested(position)})` : refused
}

const isNested = (position: number): string => `coalesce(contains(_nested, ',${position},'), FALSE)`

async function badValue(sql: DuckDBSql, stage: string, source: Source, badCells: number): Promise<TeatreeError> {
  const candidates = source.fills.map((fill, index) => {
    const { position } = fill
    const value = position === null ? 'NULL' : `left(CAST(c${position} AS VARCHAR), 61)`
    const nested = source.nested && position !== null ? isNested(position) : 'FALSE'
    return `{fill: ${index}, bad: ${isBad(fill, index, source)}, value: ${value}, nested: ${nested}}`
  })
  const rows = await sql.all(
    `SELECT _row, _line, cell.fill AS fill, cell.value AS value, cell.nested AS nested FROM (
       SELECT _row, _line, unnest([${candidates.join(', ')}]) AS cell FROM ${castRows(source, source.relation)}
       WHERE _row IN (SELECT _row FROM ${stage} WHERE _bad > 0 ORDER BY _row LIMIT ${MAX_CELLS}))
     WHERE cell.bad ORDER BY _row, fill LIMIT ${MAX_CELLS}`,
  )
  const cells = rows.map((row): CellError => {
    const fill = source.fills[Number(row.fill)]
    const value = row.value === null || row.value === undefined ? null : String(row.value)
    return {
      row: Number(row._row),
      ...(row._line == null ? {} : { line: Number(row._line) }),
      column: fill?.column.name ?? '',
      message: fill ? whyBad(fill, value, row.nested === true) : '',
    }
  })
  const [first] = cells
  const place = first?.line === undefined ? `row ${first?.row}` : `line ${first.line}`
  const more = badCells > 1 ? `; and ${badCells - 1} more` : ''
  return new TeatreeError('BAD_VALUE', `${place}, column ${first?.column}: ${first?.message}${more}`, {
    cells,
    details: { badCells },
  })
}

function whyBad({ column, type }: Fill, value: string | null, nested: boolean): string {
  if (nested) return `an object or a list is no ${column.type}; give ${expected(column.type)}`
  if (value === null) return `it is required and has no value; give ${expected(column.type)}`
  const what = type === TEXT || type === 'VARCHAR' ? '' : ` (${type.length > 40 ? `${type.slice(0, 40)}…` : type})`
  return `${shown(value)}${what} is no ${column.type}; give ${expected(column.type)}`
}

const expected = (type: LogicalType): string => EXPECTED[typeName(type)](type)

const EXPECTED: Record<TypeName, (type: LogicalType) => string> = {
  VARCHAR: () => 'a text of at most 1 MiB without the character U+0000',
  INTEGER: () => 'a whole number from -2147483648 to 2147483647',
  BIGINT: () => 'a whole number of 64 bits',
  DOUBLE: () => 'a finite number that 64 bits hold to its last digit',
  BOOLEAN: () => 'true or false',
  DATE: () => 'a day of the calendar as 2013-01-31',
  TIMESTAMP: () => 'an instant as 2013-01-31T09:00:00.123456Z, in UTC where it has no offset',
  DECIMAL: type => {
    const { precision, scale } = decimalOf(type) ?? { precision: 0, scale: 0 }
    return `a number with at most ${precision - scale} digits before the point and ${scale} after it`
  },
}
