import type { ContentResolvers } from '../../schema/resolvers.ts'
import { type ContentPosition, DATABASE_FILE } from '../jobs/content.ts'
import { RESULTS } from '../jobs/links.ts'
import type { Content, Version } from '../jobs/records.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { OperationContext } from './context.ts'
import type { Cursors, PositionPart } from './cursors.ts'
import { once, pageOf, pageRequest } from './pages.ts'
import { selected, selectedNodes } from './selection.ts'

const POSITION: PositionPart[] = [
  { type: 'INTEGER', nullable: false },
  { type: 'VARCHAR', nullable: false },
  { type: 'VARCHAR', nullable: false },
]
/** A version has a few files for each table; no version comes near. */
const MAX_FILES = 10_000

export const content: ContentResolvers = {
  index(model, { version, table, form, ...args }, context, info) {
    const { services, cursors } = context
    const request = pageRequest(args)
    const scope = `content ${model.id}`
    const where = { model: model.id, version: version ?? null, table: table ?? null, form: form ?? null }
    const position = request.after === null ? {} : { after: positionOf(cursors, scope, request.after) }
    return pageOf(request, {
      async read(limit) {
        const isForFile = version != null && table == null && (form ?? 'DUCKDB') === 'DUCKDB'
        if (isForFile && selectedNodes(info).has('url'))
          await makeFile(await keptVersion(model.id, version, context), context)
        const found = context.budget.charge(await services.content.list(where, { limit, ...position }))
        return found.map(file => ({
          node: file,
          cursor: () => cursors.encode(scope, [file.version, file.form, file.name]),
        }))
      },
    })
  },

  async ofSnapshot({ version }, context, info) {
    if (selected(info).has('url')) await makeFile(version, context)
    const where = { model: version.model, version: version.version }
    return context.budget.charge(await context.services.content.list(where, { limit: MAX_FILES }))
  },

  async url(file, { services }) {
    if (file.role === 'STORED') return file.kept ? services.content.storeUrl(file) : null
    const { model, version, queryRun } = file
    if (queryRun !== null) return services.links.to({ model, version: RESULTS, file: `${queryRun}.parquet` })
    const name = downloadName(file)
    return name && services.links.to({ model, version, file: name })
  },

  async upload(id, { services }) {
    const upload = await services.uploads.get(id)
    return upload && { ...upload, description: once(() => services.uploads.describe(upload)) }
  },
}

/**
 * A version that is a base and a WAL has nothing that can be fetched before it is made into one file: for who asks where,
 * it is. A version that has no such file, or is let go meanwhile, has what it has.
 */
async function makeFile(version: Version | null, { services }: OperationContext): Promise<void> {
  if (!version || version.version === 0) return
  await services.downloads.file(version, DATABASE_FILE).catch(error => {
    if (!(error instanceof TeatreeError) || !['NOT_FOUND', 'SNAPSHOT_GONE', 'UNAVAILABLE'].includes(error.code))
      throw error
  })
}

/** Null where it cannot be read. */
async function keptVersion(model: string, version: number, { services }: OperationContext): Promise<Version | null> {
  try {
    return await services.snapshots.find(model, { version }, 0)
  } catch (error) {
    if (error instanceof TeatreeError) return null
    throw error
  }
}

/** What the file is called below /content; null where it cannot be fetched there, as all there is made from snapshots. */
function downloadName({ form, role, name, table, kept }: Content): string | null {
  if (!kept) return null
  if (form === 'ARROW' && role === 'PUBLISHED') return name
  // Of a version that is a base and a WAL, what can be fetched is the one file made of both.
  if (form === 'DUCKDB') return name === DATABASE_FILE ? name : null
  if (table === null) return null
  return `${table}.${form.toLowerCase()}`
}

function positionOf(cursors: Cursors, scope: string, cursor: string): ContentPosition {
  const [version, form, name] = cursors.decode(scope, POSITION, cursor)
  return { version: Number(version), form: String(form), name: String(name) }
}
