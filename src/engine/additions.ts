import type { Kind, KindShape } from '../kinds/kind.ts'
import { type Addition, shapeDifference } from '../kinds/shape.ts'
import { TeatreeError } from '../platform/errors.ts'

/**
 * What the kind has got since a model had the shape.
 * @throws TeatreeError KIND_CHANGED where it differs in any other way
 */
export function additionsTo(kind: Kind, shape: KindShape): readonly Addition[] {
  const { additive, breaking } = shapeDifference(shape, kind.shape)
  if (breaking.length > 0) {
    throw new TeatreeError('KIND_CHANGED', `kind ${kind.name} has changed: ${breaking.join('; ')}`, {
      details: { differences: breaking },
    })
  }
  return additive
}
