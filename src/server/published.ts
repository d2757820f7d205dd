import type { Model, Version } from '../jobs/records.ts'
import type { Services } from '../jobs/services.ts'
import type { Admission } from '../platform/admission.ts'
import type { Exchange } from './exchange.ts'

export interface ContentDeps {
  services: Services
  dataDir: string
  /** In which everybody waits who downloads a table. */
  line: Admission
}

/**
 * A version stays as it is, and no model gets the id of another: what is below its number may be kept for ever. The bytes are
 * others where a disk was lost and the version made again, and hold the same: by its ETag such a file is told from the
 * one before, so that parts of the two never mix, and whoever has either has the version. A link that is good
 * for a while is one person's: no proxy answers it when it no longer is.
 */
export const immutable = ({ url }: Exchange) => ({
  'cache-control': `${url.searchParams.has('signature') ? 'private' : 'public'}, max-age=31536000, immutable`,
})

/** A version of a model, as a request named it. */
export interface Published {
  model: Model
  version: Version
}
