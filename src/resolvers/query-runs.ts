import type { QueryRunResolvers, StartQuery } from '../../schema/resolvers.ts'
import type { QueryWork } from '../engine/engine.ts'
import { noModel } from '../jobs/ledger.ts'
import { RESULTS } from '../jobs/links.ts'
import type { Model, QueryRun } from '../jobs/records.ts'
import type { Kind } from '../kinds/kind.ts'
import { coerceArguments } from '../kinds/validate.ts'
import { isRecord } from '../kinds/values.ts'
import { TeatreeError } from '../platform/errors.ts'
import { timesSelected } from './answer-budget.ts'
import type { OperationContext } from './context.ts'
import { badCursor } from './cursors.ts'
import { pageRequest } from './pages.ts'
import { type NamedRead, namedReads, openReads } from './query-reads.ts'
import { selected } from './selection.ts'
import { acquire, kindOf } from './snapshot-source.ts'
import { plainParams, resultPage } from './sql.ts'
import { milliseconds } from './waits.ts'

/** How long a version that is not there yet is waited for. */
const WAIT_MS = 5000

export const queryRuns: Omit<QueryRunResolvers, 'sql'> = {
  async get({ id, waitMs }, context) {
    const wait = milliseconds('waitMs', waitMs, 0)
    const run = await context.services.queryRuns.get(id)
    return run && untilEnded(run, wait, context)
  },

  async start({ input, idempotencyKey }, context) {
    const { services, user, signal } = context
    const model = await services.models.get(input.model)
    if (!model) throw noModel(input.model)
    const work = workOf(kindOf(model, context), input.query)
    const asked = { asked: [work, input.at ?? null], idempotencyKey: idempotencyKey ?? null }
    const earlier = await services.queryRuns.earlier(model.id, asked)
    if (earlier) return earlier
    const { version, reader } = await acquire(model, input.at ?? null, WAIT_MS, context)
    const named = await readsOf(model, work, context)
    // What the request alone shows to be wrong makes no run.
    await services.sql.check({ reader: await reader(), reads: await openReads(named) }, work, signal)
    const reads = named.map(({ alias, source }) => ({ alias, version: source.version }))
    return services.queryRuns.start({ ...asked, version, reads, work, submittedBy: user?.id ?? null })
  },

  cancel: (id, { services }) => services.queryRuns.cancel(id),

  model: (run, { models }) => models.load(run.model),

  async rows(run, args, { services, cursors, budget, signal }, info) {
    const { size, after } = pageRequest(args)
    const scope = `query run ${run.id}`
    const [position] = after === null ? [0] : cursors.decode(scope, [{ type: 'BIGINT', nullable: false }], after)
    const offset = Number(position)
    if (offset < 0) throw badCursor()
    const page = await services.results.page(run, { offset, size }, signal)
    if (page) budget.charge(page.rows, timesSelected(selected(info)))
    return page && resultPage(page, offset, at => cursors.encode(scope, [String(at)]))
  },

  content: (run, { services }) => services.results.content(run),

  url: ({ id, model, state }, format, { services }) =>
    state === 'DONE' ? services.links.to({ model, version: RESULTS, file: `${id}.${format.toLowerCase()}` }) : null,
}

/** The run as it is once it has ended, or the time is over. */
async function untilEnded(run: QueryRun, waitMs: number, { services, signal }: OperationContext): Promise<QueryRun> {
  let newest = run
  const look = async () => {
    if (newest.endedAt === null) newest = (await services.queryRuns.get(run.id)) ?? newest
    return newest.endedAt !== null
  }
  if (waitMs > 0 && newest.endedAt === null) await services.completions.until(run.model, look, waitMs, signal)
  return newest
}

/** The versions of other models that it reads: SQL reads none. */
async function readsOf(model: Model, work: QueryWork, context: OperationContext): Promise<NamedRead[]> {
  const query = work.is === 'function' && kindOf(model, context).queries.get(work.name)
  return query ? namedReads(model, query, work.args, context) : []
}

/** @throws TeatreeError BAD_VALUE */
function workOf(kind: Kind, { sql, function: called }: StartQuery['input']['query']): QueryWork {
  if (sql) return { is: 'sql', statement: sql.statement, params: plainParams('query.sql.params', sql.params) }
  const name = called?.name ?? ''
  const query = kind.queries.get(name)
  if (!query)
    throw new TeatreeError(
      'BAD_VALUE',
      `query.function.name: ${kind.name} has no query function ${JSON.stringify(name)}; there are ${[...kind.queries.keys()].join(', ') || 'none'}.`,
    )
  const given = called?.arguments ?? {}
  if (!isRecord(given)) throw new TeatreeError('BAD_VALUE', 'query.function.arguments: give an object, by name.')
  const unknown = Object.keys(given).find(argument => !Object.hasOwn(query.arguments, argument))
  if (unknown !== undefined)
    throw new TeatreeError(
      'BAD_VALUE',
      `query.function.arguments: ${name} has no ${JSON.stringify(unknown)}; there are ${Object.keys(query.arguments).join(', ')}.`,
    )
  return { is: 'function', name, args: coerceArguments(kind, query, given) }
}
