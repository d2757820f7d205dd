import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { TeatreeError } from '../../platform/errors.ts'
import { type ContentIndex, DATABASE_FILE, MANIFEST_FILE } from '../content.ts'
import { type Downloads, noFile } from '../downloads.ts'
import type { Content, Version } from '../records.ts'
import type { Pulled, PulledFolder } from './pulled-folder.ts'

/** The files that were pulled: of each version the one, or that which says what the others are. */
export const offlineContent = (folder: PulledFolder): ContentIndex => ({
  async list({ model, version, table, form }, { limit, after }) {
    if (table != null) return []
    const versions = await folder.versions(model)
    return versions
      .filter(each => (version == null || each.version === version) && (!after || each.version < after.version))
      .filter(each => form == null || form === each.model.engine)
      .slice(0, limit)
      .map(contentOf)
  },
  storeUrl: async () => null,
})

export function offlineDownloads(folder: PulledFolder): Downloads {
  const find = async ({ model, version }: Version): Promise<Pulled> => {
    const found = (await folder.versions(model)).find(each => each.version === version)
    if (found) return found
    throw new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is not among those that were pulled.`)
  }
  return {
    async names(version) {
      const pulled = await find(version)
      return [mainFile(pulled), ...(await folder.parts(pulled)).map(({ name }) => name)]
    },
    async file(version, name) {
      const pulled = await find(version)
      const { path, manifestPath, content, model } = pulled
      const form = model.engine
      const { bytes, sha256 } = content
      if (name === mainFile(pulled)) {
        return form === 'DUCKDB'
          ? { form, name, path, bytes, sha256, manifestPath }
          : { form, name, path: manifestPath, bytes, sha256, manifestPath: null }
      }
      const part = (await folder.parts(pulled)).find(each => each.name === name)
      if (!part) throw noFile(version, name, { name: form })
      return { form, path: join(path, name), manifestPath: null, ...part }
    },
  }
}

const mainFile = ({ model }: Pulled): string => (model.engine === 'DUCKDB' ? DATABASE_FILE : MANIFEST_FILE)

const contentOf = (pulled: Pulled): Content => ({
  id: pulled.content.id,
  model: pulled.model.id,
  version: pulled.version,
  form: pulled.model.engine,
  role: pulled.model.engine === 'DUCKDB' ? 'CLEAN' : 'PUBLISHED',
  table: null,
  name: mainFile(pulled),
  uri: pathToFileURL(pulled.model.engine === 'DUCKDB' ? pulled.path : pulled.manifestPath).href,
  bytes: BigInt(pulled.content.bytes),
  rows: null,
  sha256: pulled.content.sha256,
  createdAt: pulled.content.createdAt,
  queryRun: null,
  kept: true,
})
