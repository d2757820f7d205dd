import pl, { type Expr } from './polars.ts'

/**
 * Where a text is LIKE the pattern, null where it is null. % stands for any text, _ for one code point, a backslash takes
 * what follows as it is. With `ignoreCase` (ILIKE) both are brought to lower case first, each code point by itself.
 */
export function likeExpr(operand: Expr, pattern: string, ignoreCase: boolean): Expr {
  const parts = partsOf(pattern)
  // A regular expression takes many times as long as these do.
  if (!ignoreCase) {
    const [first, second, third, ...more] = parts
    const plain = (part: Part | undefined): part is string => typeof part === 'string'
    if (more.length === 0) {
      if (!first) return operand.eq(pl.lit(''))
      if (plain(first) && !second) return operand.eq(pl.lit(first))
      if (plain(first) && second === ANY && !third) return operand.str.startsWith(pl.lit(first))
      if (first === ANY && plain(second) && !third) return operand.str.endsWith(pl.lit(second))
      if (first === ANY && plain(second) && third === ANY) return operand.str.contains(pl.lit(second), true)
    }
  }
  const source = parts.map(part => {
    if (part === ANY) return '.*'
    if (part === ONE) return '.'
    return [...part].map(ignoreCase ? anyCase : escaped).join('')
  })
  return operand.str.contains(pl.lit(`(?s)^${source.join('')}$`), false)
}

const ANY = Symbol('%')
const ONE = Symbol('_')
type Part = string | typeof ANY | typeof ONE

function partsOf(pattern: string): Part[] {
  const parts: Part[] = []
  for (const [, plain, wild] of pattern.matchAll(/((?:\\.|\\$|[^\\%_])+)|([%_])/gsu)) {
    if (plain !== undefined) parts.push(plain.replaceAll(/\\(.)/gsu, '$1'))
    else if (wild === '_') parts.push(ONE)
    else if (parts.at(-1) !== ANY) parts.push(ANY)
  }
  return parts
}

const escaped = (letter: string): string => `\\x{${letter.codePointAt(0)?.toString(16)}}`

function anyCase(letter: string): string {
  const lower = lowered(letter)
  const all = [lower, ...(upper().get(lower) ?? [])].map(escaped)
  return all.length === 1 ? all.join('') : `[${all.join('')}]`
}

/** Of one code point; the one whose lower case are two is an i. */
function lowered(letter: string): string {
  const lower = letter.toLowerCase()
  return lower.length > String.fromCodePoint(lower.codePointAt(0) ?? 0).length ? 'i' : lower
}

/** Every code point that has another as its lower case, by that. Polars' own knows more rules than letter by letter. */
function upper(): ReadonlyMap<string, readonly string[]> {
  if (uppers.size > 0) return uppers
  for (let code = 0x41; code <= LAST_CASED; code++) {
    const letter = String.fromCodePoint(code)
    const lower = lowered(letter)
    if (lower !== letter) uppers.set(lower, [...(uppers.get(lower) ?? []), letter])
  }
  return uppers
}
const uppers = new Map<string, string[]>()
const LAST_CASED = 0x1e943
