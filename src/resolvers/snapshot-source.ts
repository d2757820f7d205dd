import type { SnapshotAtInput, SnapshotSource } from '../../schema/shapes.ts'
import { isUuid } from '../jobs/ledger.ts'
import type { Model, Version } from '../jobs/records.ts'
import type { OpenSnapshot, SnapshotAt } from '../jobs/snapshots.ts'
import type { Kind } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { OperationContext } from './context.ts'
import { once } from './pages.ts'

/** @throws TeatreeError UNKNOWN_KIND where the server was started without it */
export function kindOf(model: Model, { services }: OperationContext): Kind {
  const kind = services.kinds.get(model.kind)
  if (kind) return kind
  throw new TeatreeError('UNKNOWN_KIND', `Model ${model.id} is of kind ${model.kind}, which this server does not know.`)
}

/** The version that `at` selects, found and held open. @throws TeatreeError, see Snapshots.find */
export async function acquire(
  model: Model,
  at: SnapshotAtInput | null,
  waitMs: number,
  context: OperationContext,
): Promise<SnapshotSource> {
  const { services, signal } = context
  kindOf(model, context)
  const chosen = at && snapshotAt(model, at)
  const open = await services.snapshots.acquire(model.id, chosen, waitMs, signal)
  context.reading.chose(chosen, open.version)
  return sourceOf(model, context.hold(open), context)
}

/** A version that is opened only when its rows are asked for. */
export function sourceOf(model: Model, of: OpenSnapshot | Version, context: OperationContext): SnapshotSource {
  const isOpen = 'reader' in of
  return {
    model,
    kind: kindOf(model, context),
    version: isOpen ? of.version : of,
    reader: once(async () => (isOpen ? of : context.hold(await context.services.snapshots.open(of))).reader),
  }
}

/** @throws TeatreeError BAD_VALUE, NOT_FOUND */
function snapshotAt(model: Model, { version, intent, atLeast, asOf }: SnapshotAtInput): SnapshotAt {
  if (intent != null) {
    if (!isUuid(intent)) throw new TeatreeError('NOT_FOUND', `Model ${model.id} has no intent ${intent}.`)
    return { intent }
  }
  if (asOf != null) return { asOf }
  const number = version ?? atLeast ?? 0
  if (number < 0) throw new TeatreeError('BAD_VALUE', `at: there is no version ${number}; versions count from 0.`)
  return version != null ? { version } : { atLeast: number }
}
