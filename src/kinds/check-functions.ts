import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERRORS } from '../platform/errors.ts'
import { readColumns } from './check-tables.ts'
import type { EngineName } from './context.ts'
import type { FunctionSpec, KindDefinition, QuerySpec } from './definition.ts'
import type { Column, KindFunction, KindQuery } from './kind.ts'
import { COLUMN_NAMES, CONNECTION_FIELDS } from './reserved.ts'
import { broken, checkIdentifier, Scope } from './scope.ts'

/** Time limits in seconds where a kind says none. */
export const FUNCTION_SECONDS = 900
export const QUERY_SECONDS = 60

/** The functions of a definition, read and checked but for their arguments. @throws UsageError */
export function readFunctions(at: string, definition: KindDefinition): Map<string, KindFunction> {
  return new Map(
    Object.entries(definition.functions ?? {}).map(([name, spec]) => {
      const place = `${at}, functions.${name}`
      checkSpec(place, name, spec, definition.engines)
      checkIdentifier(`${place}.result.name`, spec.result.name)
      const resultColumns = readColumns(`${place}.result.columns`, spec.result.columns)
      for (const [engine, implementation] of Object.entries(spec.engines)) {
        if (typeof implementation === 'object') checkSql(`${place}.engines.${engine}`, implementation.sql)
      }
      return [name, { ...spec, name, timeoutSeconds: spec.timeoutSeconds ?? FUNCTION_SECONDS, resultColumns }]
    }),
  )
}

/** The query functions of a definition, read and checked but for their arguments. @throws UsageError */
export function readQueries(at: string, definition: KindDefinition): Map<string, KindQuery> {
  return new Map(
    Object.entries(definition.queries ?? {}).map(([name, spec]) => {
      const place = `${at}, queries.${name}`
      checkSpec(place, name, spec, definition.engines)
      checkIdentifier(`${place}.row.name`, spec.row.name)
      const rowColumns = readColumns(`${place}.row.columns`, spec.row.columns)
      const pageColumns = spec.page
        ? readColumns(`${place}.page`, spec.page, new Scope([...COLUMN_NAMES, ...CONNECTION_FIELDS]))
        : new Map<string, Column>()
      for (const [engine, implementation] of Object.entries(spec.engines)) {
        if (typeof implementation !== 'object') continue
        const here = `${place}.engines.${engine}`
        checkSql(here, implementation.sql)
        checkOrder(`${here}.orderBy`, rowColumns, implementation.orderBy)
        if (pageColumns.size > 0)
          broken(here, 'page fields need an implementation in TypeScript, which answers with them')
      }
      const timeoutSeconds = spec.timeoutSeconds ?? QUERY_SECONDS
      return [name, { ...spec, name, timeoutSeconds, rowColumns, pageColumns }]
    }),
  )
}

function checkSpec(at: string, name: string, spec: FunctionSpec | QuerySpec, engines: readonly EngineName[]): void {
  checkIdentifier(at, name)
  const implemented = Object.entries(spec.engines).filter(([, implementation]) => implementation !== undefined)
  if (implemented.length === 0) broken(`${at}.engines`, 'there must be an implementation for at least one engine')
  for (const [engine] of implemented) {
    if (!engines.some(known => known === engine)) broken(`${at}.engines`, `the kind itself is not for ${engine}`)
  }
  for (const code of Object.keys(spec.errors ?? {})) {
    const place = `${at}.errors.${code}`
    checkIdentifier(place, code, /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/)
    if (Object.hasOwn(ERRORS, code)) broken(place, `${code} is a code of the platform; take one of your own`)
  }
}

function checkSql(at: string, url: URL): void {
  if (url.protocol !== 'file:') broken(at, 'the SQL must be a file beside the kind')
  const name = basename(url.pathname)
  if (!name.endsWith('.sql')) broken(at, `${name} is no .sql file`)
  if (textOf(url, at).trim() === '') broken(at, `the file ${name} is empty`)
}

function textOf(url: URL, at: string): string {
  try {
    return readFileSync(fileURLToPath(url), 'utf8')
  } catch {
    return broken(at, `the file ${basename(url.pathname)} cannot be read`)
  }
}

function checkOrder(at: string, columns: ReadonlyMap<string, Column>, orderBy: readonly string[]): void {
  if (new Set(orderBy).size < orderBy.length) broken(at, 'a column is named twice')
  for (const name of orderBy) if (!columns.has(name)) broken(at, `there is no row column ${name}`)
}
