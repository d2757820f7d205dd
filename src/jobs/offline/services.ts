import type { Engine } from '../../engine/engine.ts'
import type { Kinds } from '../../kinds/kind.ts'
import type { Log } from '../../platform/log.ts'
import type { QueryGrant } from '../../platform/settings.ts'
import { Signatures } from '../../platform/signatures.ts'
import { Links } from '../links.ts'
import type { ResultFiles } from '../result-files.ts'
import type { Services } from '../services.ts'
import { SqlQueries } from '../sql-queries.ts'
import { offlineContent, offlineDownloads } from './offline-content.ts'
import { OfflineModels } from './offline-models.ts'
import { OfflineSnapshots } from './offline-snapshots.ts'
import { PulledFolder } from './pulled-folder.ts'
import { refusing } from './refusing.ts'

/** What can be had of pulled files alone. What needs more is refused with UNAVAILABLE. */
export interface OfflineServices extends Services {
  snapshots: OfflineSnapshots
  folder: PulledFolder
}

export function offlineServices(deps: {
  dir: string
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  /** Where pages of SQL are read from. */
  results: ResultFiles
  sql: QueryGrant
  log: Log
  publicUrl(): string
}): OfflineServices {
  const { dir, kinds, publicUrl, log } = deps
  const folder = new PulledFolder(dir)
  // The key stays with the control database.
  const signatures = new Signatures(null)
  const snapshots = new OfflineSnapshots({ ...deps, folder })
  return {
    folder,
    kinds,
    models: new OfflineModels({ folder, kinds }),
    snapshots,
    sql: new SqlQueries({ snapshots, files: deps.results, limits: deps.sql }),
    content: offlineContent(folder),
    downloads: offlineDownloads(folder),
    db: refusing('pins'),
    ledger: refusing('intents'),
    submitter: refusing('changes'),
    completions: refusing('completions'),
    modelChanges: refusing('changes of models'),
    queryRuns: refusing('query runs'),
    results: refusing('query runs'),
    uploads: refusing('uploads'),
    signatures,
    links: new Links({ signatures, publicUrl }),
    log,
  }
}
