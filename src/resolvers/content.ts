import type { ContentResolvers } from '../../schema/resolvers.ts'
import { type ContentPosition, DATABASE_FILE } from '../jobs/content.ts'
import type { Content } from '../jobs/records.ts'
import { decodeCursor, encodeCursor, type PositionPart } from './cursors.ts'
import { once, pageOf, pageRequest } from './pages.ts'

const POSITION: PositionPart[] = [
  { type: 'INTEGER', nullable: false },
  { type: 'VARCHAR', nullable: false },
  { type: 'VARCHAR', nullable: false },
]
/** A version has a few files for each table; no version comes near. */
const MAX_FILES = 10_000

export const content: ContentResolvers = {
  index(model, { version, table, form, ...args }, { services }) {
    const request = pageRequest(args)
    const scope = `content ${model.id}`
    const where = { model: model.id, version: version ?? null, table: table ?? null, form: form ?? null }
    const position = request.after === null ? {} : { after: positionOf(scope, request.after) }
    return pageOf(request, {
      async read(limit) {
        const found = await services.content.list(where, { limit, ...position })
        return found.map(file => ({
          node: file,
          cursor: () => encodeCursor(scope, [file.version, file.form, file.name]),
        }))
      },
    })
  },

  ofSnapshot: ({ version: { model, version } }, { services }) =>
    services.content.list({ model, version }, { limit: MAX_FILES }),

  async url(file, { services }) {
    if (file.role === 'STORED') return file.kept ? services.content.storeUrl(file) : null
    if (file.queryRun !== null) return `${services.publicUrl()}/content/${file.model}/results/${file.queryRun}.parquet`
    const name = downloadName(file)
    return name && `${services.publicUrl()}/content/${file.model}/${file.version}/${name}`
  },

  async upload(id, { services }) {
    const upload = await services.uploads.get(id)
    return upload && { ...upload, description: once(() => services.uploads.describe(upload)) }
  },
}

/** What the file is called below /content; null where it cannot be fetched there, as all there is made from snapshots. */
function downloadName({ form, name, table, kept }: Content): string | null {
  if (!kept) return null
  // Of a version that is a base and a WAL, what can be fetched is the one file made of both.
  if (form === 'DUCKDB') return name === DATABASE_FILE ? name : null
  if (table === null) return null
  return `${table}.${form.toLowerCase()}`
}

function positionOf(scope: string, cursor: string): ContentPosition {
  const [version, form, name] = decodeCursor(scope, POSITION, cursor)
  return { version: Number(version), form: String(form), name: String(name) }
}
