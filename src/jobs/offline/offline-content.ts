import { pathToFileURL } from 'node:url'
import { TeatreeError } from '../../platform/errors.ts'
import type { Downloads } from '../clean-files.ts'
import { type ContentIndex, DATABASE_FILE } from '../content.ts'
import type { Content } from '../records.ts'
import type { Pulled, PulledFolder } from './pulled-folder.ts'

/** The files that were pulled: of each version the one. */
export const offlineContent = (folder: PulledFolder): ContentIndex => ({
  async list({ model, version, table, form }, { limit, after }) {
    if (table != null || (form != null && form !== 'DUCKDB')) return []
    const versions = await folder.versions(model)
    return versions
      .filter(each => (version == null || each.version === version) && (!after || each.version < after.version))
      .slice(0, limit)
      .map(contentOf)
  },
  storeUrl: async () => null,
})

export const offlineDownloads = (folder: PulledFolder): Downloads => ({
  async of({ model, version }) {
    const found = (await folder.versions(model)).find(each => each.version === version)
    if (!found)
      throw new TeatreeError(
        'SNAPSHOT_GONE',
        `Version ${version} of model ${model} is not among those that were pulled.`,
      )
    const { path, manifestPath, content } = found
    return { path, manifestPath, bytes: content.bytes, sha256: content.sha256 }
  },
})

const contentOf = ({ model, version, path, content }: Pulled): Content => ({
  id: content.id,
  model: model.id,
  version,
  form: 'DUCKDB',
  role: 'CLEAN',
  table: null,
  name: DATABASE_FILE,
  uri: pathToFileURL(path).href,
  bytes: BigInt(content.bytes),
  rows: null,
  sha256: content.sha256,
  createdAt: content.createdAt,
  queryRun: null,
  kept: true,
})
