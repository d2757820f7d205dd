import type { ReadModel } from '../../kinds/context.ts'
import type { Kinds, Table } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { tableOf } from '../plan-tables.ts'
import { SourceDamaged } from '../snapshot-damaged.ts'
import { causeInSources } from './damaged-sources.ts'
import { databaseIn } from './database.ts'
import type { ReadableSource } from './hydrated-sources.ts'
import { parquetSelect } from './parquet-tables.ts'
import { viewText } from './snapshot-tables.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'
import { readState } from './state.ts'

/**
 * Attaches versions of other models read-only, each under its alias, while `use` runs. To be called outside of a
 * transaction: what one has read can only be detached after it.
 */
export async function withAttached<T>(
  sql: DuckDBSql,
  refs: readonly ReadableSource[],
  kinds: Kinds,
  use: (models: ReadModel[]) => Promise<T>,
): Promise<T> {
  const attached: string[] = []
  const detach = async () => {
    for (const name of attached.reverse()) await sql.run(`DETACH ${quoted(name)}`)
  }
  let result: T
  try {
    const models: ReadModel[] = []
    for (const ref of refs) models.push(await attach(sql, ref, kinds, attached))
    result = await use(models)
  } catch (error) {
    // It is the first error that says why.
    await detach().catch(() => {})
    throw await causeInSources(error, refs)
  }
  await detach()
  return result
}

/**
 * Where the version was made with another shape of its kind, or is read by Parquet files, a database of views goes by the alias, and what the version
 * lacks reads as null or empty, in SQL that says `FROM alias.table` too.
 */
async function attach(sql: DuckDBSql, ref: ReadableSource, kinds: Kinds, attached: string[]): Promise<ReadModel> {
  const { alias, model, version } = ref
  const kind = kinds.get(ref.kind)
  if (!kind)
    throw new TeatreeError('UNKNOWN_KIND', `model ${model} is of kind ${ref.kind}, which this server does not know`)
  const table = (name: string) => `${quoted(alias)}.main.${quoted(tableOf(kind, name).name)}`
  const path = databaseIn(ref.files)
  if (version > 0 && path === undefined && !ref.parquets) {
    throw new TeatreeError('ENGINE_NOT_SUPPORTED', `model ${model} is not on DuckDB, and cannot be read by one that is`)
  }
  const named = async (name: string, file: string) => {
    await sql.run(`ATTACH ${file} AS ${quoted(name)}${file === IN_MEMORY ? '' : ' (READ_ONLY, TYPE duckdb)'}`)
    attached.push(name)
  }
  const views = async (select: (table: Table) => string) => {
    await named(alias, IN_MEMORY)
    for (const each of kind.tables.values()) {
      await sql.run(`CREATE VIEW ${quoted(alias)}.main.${quoted(each.name)} AS ${select(each)}`)
    }
  }
  if (path === undefined) {
    // Without files it is version 0, whose tables are empty.
    const { parquets = {} } = ref
    await views(each => parquetSelect(each, parquets[each.name] ?? []))
    return { alias, model, kind: kind.name, version, table }
  }
  await named(alias, literal(path))
  const { shape: stored, version: held } = await readState(sql, alias)
  if (held !== version) throw new SourceDamaged(ref)
  if (JSON.stringify(stored) !== JSON.stringify(kind.shape)) {
    const file = `${alias} file`
    await sql.run(`DETACH ${quoted(alias)}`)
    attached.pop()
    await named(file, literal(path))
    await views(each => viewText(each, stored, `${quoted(file)}.main`))
  }
  return { alias, model, kind: kind.name, version, table }
}

const IN_MEMORY = literal(':memory:')
