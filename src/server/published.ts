import type { Engine } from '../engine/engine.ts'
import type { Model, Version } from '../jobs/records.ts'
import type { Services } from '../jobs/services.ts'
import type { Admission } from '../platform/admission.ts'

export interface ContentDeps {
  services: Services
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  /** In which everybody waits who downloads a table. */
  downloads: Admission
}

/** A version stays as it is, and no model gets the id of another: what is below its number may be kept for ever. */
export const IMMUTABLE = { 'cache-control': 'public, max-age=31536000, immutable' }

/** A version of a model, as a request named it. */
export interface Published {
  model: Model
  version: Version
}
