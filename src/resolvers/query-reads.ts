import type { SnapshotSource } from '../../schema/shapes.ts'
import type { Model } from '../jobs/records.ts'
import type { KindQuery } from '../kinds/kind.ts'
import { refuse } from '../kinds/refuse.ts'
import type { OperationContext } from './context.ts'
import { acquire } from './snapshot-source.ts'

/** A version of another model that an argument of a query function names; `alias` is the argument. */
export interface NamedRead {
  alias: string
  source: SnapshotSource
}

/**
 * The versions of other models that the arguments of a query of `model` name, in the order of the arguments, held open
 * until the operation has ended. BAD_VALUE where a model is not among the reads, or not of that kind; SNAPSHOT_GONE or
 * SNAPSHOT_NOT_YET where it has no such version.
 */
export async function namedReads(
  model: Model,
  query: KindQuery,
  args: Readonly<Record<string, unknown>>,
  context: OperationContext,
): Promise<NamedRead[]> {
  const named = Object.entries(query.arguments).flatMap(([alias, { type }]) =>
    type.is === 'model'
      ? [{ alias, of: type.of, id: String(args[alias]), version: Number(args[type.version ?? '']) }]
      : [],
  )
  if (named.length === 0) return []
  const allowed = await context.services.models.reads(model.id)
  return Promise.all(
    named.map(async ({ alias, of, id, version }) => {
      const read = allowed.find(other => other.id === id)
      if (!read) return refuse(alias, `model ${id} is not among the models that this one reads`)
      if (read.kind !== of) return refuse(alias, `model ${id} is of kind ${read.kind}; give one of kind ${of}`)
      return { alias, source: await acquire(read, { version }, 0, context) }
    }),
  )
}

/** The same for an engine: each is open. */
export const openReads = (named: readonly NamedRead[]) =>
  Promise.all(
    named.map(async ({ alias, source }) => ({ alias, model: source.model.id, reader: await source.reader() })),
  )
