import type { SnapshotResolvers } from '../../schema/resolvers.ts'
import type { SnapshotSource } from '../../schema/shapes.ts'
import { noModel } from '../jobs/ledger.ts'
import { pinVersion, releaseVersion } from '../jobs/pins.ts'
import type { Model } from '../jobs/records.ts'
import { completionCursor } from './completion-cursors.ts'
import type { OperationContext } from './context.ts'
import { pageOf, pageRequest } from './pages.ts'
import { acquire, sourceOf } from './snapshot-source.ts'
import { milliseconds } from './waits.ts'

const DEFAULT_WAIT_MS = 5000

export const snapshots: SnapshotResolvers = {
  of: (model, { at, waitMs }, context) =>
    acquire(model, at ?? null, milliseconds('waitMs', waitMs, DEFAULT_WAIT_MS), context),

  list(model, args, context) {
    const request = pageRequest(args)
    const scope = `snapshots ${model.id}`
    const [before] =
      request.after === null
        ? [null]
        : context.cursors.decode(scope, [{ type: 'INTEGER', nullable: false }], request.after)
    return pageOf(request, {
      async read(limit) {
        const found = await context.services.snapshots.kept(model.id, limit, before as number | null)
        return found.map(version => ({
          node: sourceOf(model, version, context),
          cursor: () => context.cursors.encode(scope, [version.version]),
        }))
      },
    })
  },

  cursor: ({ version }) => completionCursor(version.model, version.completions),

  async labels({ version }, { services }) {
    return (await services.snapshots.labels(version)).map(({ label }) => label)
  },

  tables: snapshot =>
    [...snapshot.kind.tables.values()].map(table => ({
      name: table.name,
      // a version from before the kind had the table has none of its rows
      rows: snapshot.version.tables.find(({ name }) => name === table.name)?.rows ?? 0,
      columns: [...table.columns.values()],
      snapshot,
    })),

  tableUrl: ({ name, snapshot: { version } }, format, { services }) =>
    services.links.to({ ...version, file: `${name}.${format.toLowerCase()}` }),

  async pin({ model: id, version, label }, context) {
    const model = await known(id, context)
    await pinVersion(context.services.db, id, version, label)
    return found(model, version, context)
  },

  async release({ model: id, version, label }, context) {
    const model = await known(id, context)
    // Found before: once it is released it may be let go at any time.
    const released = await found(model, version, context)
    await releaseVersion(context.services.db, id, version, label ?? null)
    return released
  },
}

async function known(id: string, { services }: OperationContext): Promise<Model> {
  const model = await services.models.get(id)
  if (!model) throw noModel(id)
  return model
}

async function found(model: Model, version: number, context: OperationContext): Promise<SnapshotSource> {
  const { services, signal } = context
  return sourceOf(model, await services.snapshots.find(model.id, { version }, 0, signal), context)
}
