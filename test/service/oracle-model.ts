import type { Manager } from '../../src/jobs/manager.ts'
import type { EngineName } from '../../src/kinds/context.ts'
import type { Row } from '../../src/kinds/types.ts'
import type { TableRowsByName } from '../engine/reader-model.ts'
import { tableOf } from '../engine/reader-plans.ts'
import { ORACLE_KINDS } from '../support/control.ts'
import { type Answer, openServer, type TestServer } from '../support/http-server.ts'
import { keyOf } from './oracle-graphql.ts'

/** Versions of one model, each with the rows that a test wants to be in it; all of it over GraphQL. */
export interface OracleModel {
  /** A version with these rows alone, kept until the next one is made. */
  fill(rows: TableRowsByName): Promise<number>
  /** A later version, in which the harvests are these; there are some in one of them. */
  change(was: readonly Row[], is: readonly Row[]): Promise<number>
  /** A field of the version's snapshot; an error of the answer is thrown. `types` are those of the variables. */
  ask(version: number, field: string, types: string, variables: Record<string, unknown>): Promise<Answer>
  /** The code that a field is refused with. */
  codeOf(version: number, field: string, types: string, variables: Record<string, unknown>): Promise<string | undefined>
}

const MUTATIONS = { growers: 'OrchardGrower', plots: 'OrchardPlot', harvests: 'OrchardHarvest' }

/** A model on each engine, all of one server, which goes with them. */
export async function openOracleModels(
  engines: readonly EngineName[],
): Promise<AsyncDisposable & { of(engine: EngineName): OracleModel }> {
  const server = await openServer({ kindsDir: ORACLE_KINDS })
  const manager = server.startManager()
  const models = new Map<EngineName, OracleModel>()
  for (const engine of engines) models.set(engine, await openModel(server, manager, engine))
  return {
    of(engine) {
      const model = models.get(engine)
      if (!model) throw new Error(`no model on ${engine}`)
      return model
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function openModel(server: TestServer, manager: Manager, engine: EngineName): Promise<OracleModel> {
  const { id: model } = await server.models.create({ kind: 'orchard', engine })
  await manager.hold(model)
  let pinned: number | undefined

  const read = (version: number, field: string, types: string, variables: Record<string, unknown>) =>
    server.answer(
      `query ($model: ID!, $version: Int!${types}) { orchardModel(id: $model) { snapshot(at: { version: $version }) { ${field} } } }`,
      { model, version, ...variables },
    )
  async function mutate(fields: readonly string[], types: string, variables: Record<string, unknown>): Promise<number> {
    const aliased = fields.map((field, index) => `m${index}: ${field} { status version error { message } }`)
    const { data, errors } = await server.answer(`mutation ($model: ID!${types}) { ${aliased.join('\n')} }`, {
      model,
      ...variables,
    })
    const ended = data?.[`m${fields.length - 1}`]
    if (errors || ended?.status !== 'PUBLISHED') throw new Error(JSON.stringify(errors ?? ended))
    return ended.version
  }
  const args = (rest: string) => `(model: $model, waitMs: 30000, ${rest})`

  return {
    async fill(rows) {
      if (pinned !== undefined)
        await server.answer('mutation ($model: ID!, $v: Int!) { releaseSnapshot(model: $model, version: $v) { id } }', {
          model,
          v: pinned,
        })
      const tables = Object.keys(MUTATIONS) as (keyof typeof MUTATIONS)[]
      const filled = tables.filter(table => (rows[table] ?? []).length > 0)
      const emptied = tables.map(table => {
        const [column] = [...tableOf(table).columns.values()].filter(({ nullable }) => !nullable)
        return `deleteOrchard${capital(table)}${args(`where: { ${column?.name}: { isNull: false } }`)}`
      })
      const version = await mutate(
        [...emptied, ...filled.map(table => `appendOrchard${capital(table)}${args(`rows: $${table}`)}`)],
        filled.map(table => `, $${table}: [${MUTATIONS[table]}Input!]!`).join(''),
        rows,
      )
      await server.answer(
        'mutation ($model: ID!, $v: Int!) { pinSnapshot(model: $model, version: $v, label: "oracle") { id } }',
        { model, v: version },
      )
      pinned = version
      return version
    },
    change(was, is) {
      const table = tableOf('harvests')
      const name = (row: Row) => JSON.stringify(keyOf(table, row))
      const kept = new Set(is.map(name))
      const gone = was.filter(row => !kept.has(name(row)))
      const where = {
        or: gone.map(row => ({
          name: { eq: row.name },
          batch: row.batch === null ? { isNull: true } : { eq: row.batch },
        })),
      }
      const [fields, types]: [string[], string[]] = [[], []]
      if (is.length > 0) {
        fields.push(`upsertOrchardHarvests${args('rows: $rows')}`)
        types.push(', $rows: [OrchardHarvestInput!]!')
      }
      if (gone.length > 0) {
        fields.push(`deleteOrchardHarvests${args('where: $where')}`)
        types.push(', $where: OrchardHarvestWhere!')
      }
      return mutate(fields, types.join(''), { rows: is, where })
    },
    async ask(version, field, types, variables) {
      const { data, errors } = await read(version, field, types, variables)
      if (errors) throw new Error(JSON.stringify(errors))
      return data.orchardModel.snapshot
    },
    async codeOf(version, field, types, variables) {
      const { errors } = await read(version, field, types, variables)
      return errors?.[0]?.extensions?.code
    },
  }
}

const capital = (name: string) => name.charAt(0).toUpperCase() + name.slice(1)
