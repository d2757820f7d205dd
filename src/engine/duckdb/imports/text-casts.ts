import { decimalOf, type LogicalType, type TypeName, typeName } from '../../../kinds/types.ts'
import { MAX_VARCHAR_BYTES } from '../../../kinds/values.ts'

/**
 * SQL for the value that a text writes, in the same forms that rows are taken in (kinds/values.ts); null where it writes
 * none of the type, or one that the type cannot hold exactly. DuckDB's own casts are lenient: they trim, round, take
 * '1_000', 'nan', '0x1', and drop an offset. What DuckDB writes as it was read needs no further look, and comparing is
 * cheaper than a regular expression. `text` is an SQL operand, evaluated more than once.
 */
export function fromText(text: string, type: LogicalType): string {
  return CASTS[typeName(type)](text, type)
}

const NUMBER = '[+-]?\\d+(\\.\\d+)?([eE][+-]?\\d+)?'
const WHOLE = '[+-]?\\d+(\\.0+)?'
const DAY = '\\d{4}-\\d{2}-\\d{2}'
const CLOCK = '([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6}0*)?)?'
const ZONE = '(Z|[+-]([01]\\d|2[0-3]):?[0-5]\\d)'

/** Dates and instants have four digits for their year, as ISO 8601 has. */
export const inYears = (value: string, type: 'DATE' | 'TIMESTAMP'): string =>
  type === 'DATE'
    ? `${value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'`
    : `${value} BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'`

/** What a VARCHAR can hold, of a text without U+0000. */
export const soundLength = (text: string): string =>
  `CASE WHEN strlen(${text}) <= ${MAX_VARCHAR_BYTES} THEN ${text} END`

/** What a VARCHAR can hold. */
export const soundText = (text: string): string =>
  `CASE WHEN strlen(${text}) <= ${MAX_VARCHAR_BYTES} AND NOT contains(${text}, chr(0)) THEN ${text} END`

const whole = (text: string, type: LogicalType): string => {
  const cast = `TRY_CAST(${text} AS ${type})`
  return `CASE WHEN CAST(${cast} AS VARCHAR) = ${text} THEN ${cast}
    WHEN regexp_full_match(${text}, '${WHOLE}') THEN TRY_CAST(split_part(${text}, '.', 1) AS ${type})
    WHEN ${hasExponent(text)} THEN ${fromPlain(plainNumber(text), WHOLE, number => `TRY_CAST(split_part(${number}, '.', 1) AS ${type})`)} END`
}

const CASTS: Record<TypeName, (text: string, type: LogicalType) => string> = {
  VARCHAR: soundText,
  INTEGER: whole,
  BIGINT: whole,
  DECIMAL: (text, type) => {
    const { scale } = decimalOf(type) ?? { scale: 0 }
    if (scale === 0) return whole(text, type)
    const places = `[+-]?\\d+(\\.\\d{1,${scale}}0*)?`
    const cast = (number: string) => `TRY_CAST(${number} AS ${type})`
    // '12.5' is the beginning of '12.5000'; and what has more places than the type is the beginning of nothing
    const isWritten = `starts_with(CAST(${cast(text)} AS VARCHAR), ${text}) AND NOT ends_with(${text}, '.')`
    return `CASE WHEN ${isWritten} THEN ${cast(text)}
      WHEN regexp_full_match(${text}, '${places}') THEN ${cast(text)}
      WHEN ${hasExponent(text)} THEN ${fromPlain(plainNumber(text), places, cast)} END`
  },
  DOUBLE: text => {
    const cast = `TRY_CAST(${text} AS DOUBLE)`
    // + 0 makes 0 of -0, which JSON cannot tell from it
    return `CASE WHEN NOT isfinite(${cast}) THEN NULL
      WHEN CAST(${cast} AS VARCHAR) IN (${text}, ${text} || '.0') THEN ${cast} + 0
      WHEN regexp_full_match(${text}, '${NUMBER}') AND ${survives(text, cast)} THEN ${cast} + 0 END`
  },
  BOOLEAN: text => `CASE lower(${text}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END`,
  DATE: text => {
    const cast = `TRY_CAST(${text} AS DATE)`
    // what DuckDB reads otherwise than it writes is in another form, or no day of the calendar
    return `CASE WHEN strlen(${text}) = 10 AND CAST(${cast} AS VARCHAR) = ${text} THEN ${cast} END`
  },
  TIMESTAMP: text => {
    const there = `regexp_full_match(${text}, '${DAY}([T ]${CLOCK}${ZONE}?)?')`
    const local = `TRY_CAST(regexp_extract(${text}, '^${DAY}[T ]${CLOCK}') AS TIMESTAMP)`
    const shifted = `list_transform([${local} - ${offset(text)}], lambda instant: CASE WHEN ${inYears('instant', 'TIMESTAMP')} THEN instant END)[1]`
    // DuckDB's own cast drops an offset
    return `CASE WHEN NOT ${there} OR starts_with(${text}, '0000') THEN NULL
      WHEN regexp_matches(${text}, '[+-]\\d{2}:?\\d{2}$') THEN ${shifted} ELSE TRY_CAST(${text} AS TIMESTAMP) END`
  },
}

/** The offset at the end of a timestamp, as an interval. */
const offset = (text: string): string => {
  const part = (pattern: string) => `TRY_CAST(regexp_extract(${text}, '${pattern}', 1) AS INTEGER)`
  const minutes = `(${part('(\\d{2}):?\\d{2}$')} * 60 + ${part('(\\d{2})$')})`
  return `to_minutes(CASE WHEN regexp_matches(${text}, '-\\d{2}:?\\d{2}$') THEN -${minutes} ELSE ${minutes} END)`
}

const hasExponent = (text: string): string => `regexp_full_match(${text}, '[+-]?\\d+(\\.\\d+)?[eE][+-]?\\d{1,3}')`

/** Casts a number that has just been written plainly; a lambda gives it a name within an expression. */
const fromPlain = (plain: string, form: string, cast: (number: string) => string): string =>
  `list_transform([${plain}], lambda number: CASE WHEN regexp_full_match(number, '${form}') THEN ${cast('number')} END)[1]`

/** A number with an exponent (hasExponent) without it: the digits stay, the point moves. */
const plainNumber = (text: string): string => {
  const mantissa = `regexp_extract(${text}, '^[+-]?([\\d.]+)', 1)`
  const digits = `replace(${mantissa}, '.', '')`
  const point = `(strlen(split_part(${mantissa}, '.', 1)) + TRY_CAST(regexp_extract(${text}, '[eE]([+-]?\\d+)$', 1) AS INTEGER))`
  return `CASE WHEN starts_with(${text}, '-') THEN '-' ELSE '' END || CASE
    WHEN ${point} <= 0 THEN '0.' || repeat('0', -${point}) || ${digits}
    WHEN ${point} >= strlen(${digits}) THEN ${digits} || repeat('0', ${point} - strlen(${digits}))
    ELSE ${digits}[1:${point}] || '.' || ${digits}[${point} + 1:] END`
}

/**
 * Whether a number survives the way to a DOUBLE and back: written with as many significant digits, the double gives the same
 * digits. Up to 15 of them always do, save near the smallest numbers.
 */
const survives = (text: string, cast: string): string => {
  const mantissa = `replace(regexp_extract(${text}, '^[+-]?([\\d.]+)', 1), '.', '')`
  const digits = `trim(${mantissa}, '0')`
  const written = `format('{:.' || (strlen(${digits}) - 1) || 'e}', abs(${cast}))`
  return `CASE WHEN ${digits} = '' THEN TRUE WHEN strlen(${digits}) <= 15 AND abs(${cast}) > 1e-300 THEN TRUE
    WHEN strlen(${digits}) > 700 OR ${cast} = 0 THEN FALSE
    ELSE replace(split_part(${written}, 'e', 1), '.', '') = ${digits} END`
}
