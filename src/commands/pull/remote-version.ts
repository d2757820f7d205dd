import { hash } from 'node:crypto'
import { z } from 'zod'
import { manifestDigest } from '../../engine/blocks.ts'
import { DATABASE_FILE, MANIFEST_FILE } from '../../jobs/content.ts'
import {
  MAX_MANIFEST_BYTES,
  modelId,
  type PulledFile,
  type PulledManifest,
  type PulledVersion,
  pulledFiles,
  pulledManifest,
  pulledVersion,
} from '../../jobs/offline/pulled-version.ts'
import { UsageError } from '../../platform/errors.ts'
import { completionPosition } from '../../resolvers/completion-cursors.ts'
import { boundedText } from '../bounded-body.ts'
import { AnsweredError, authorization, fetchFrom, graphql, type Server } from '../client.ts'

/** What is to be pulled: `MODEL`, which is the newest version, or `MODEL@VERSION`. */
export interface Wanted {
  model: string
  version: number | null
}

/** A version as the server has it: one file, or several. */
export type RemoteVersion = RemoteFile | RemoteFiles
export interface RemoteFile {
  is: 'file'
  details: PulledVersion
  manifest: PulledManifest
  /** Without a query; the file may be asked for in ranges. */
  url: string
}
export interface RemoteFiles {
  is: 'files'
  details: PulledVersion
  files: readonly PulledFile[]
  /** The file that names them, as it is. */
  manifest: Uint8Array
}

/** What there is to fetch, as the server says it first. */
type Contents = Pick<RemoteFile, 'is' | 'manifest'> | Pick<RemoteFiles, 'is' | 'files' | 'manifest'>
interface Asked {
  version: number
  contents: Contents
  /** Of what the contents were read from, or of the file that they are of. */
  bytes: number
  sha256: string
}

/** The version was let go, or its file was made anew, while it was asked about: ask again. */
export class VersionMoved extends Error {
  override readonly name = 'VersionMoved'
  /** What the server said, where it keeps the version no longer. */
  readonly gone: AnsweredError | undefined

  constructor(message: string, gone?: AnsweredError) {
    super(message)
    this.gone = gone
  }
}

/** @throws UsageError */
export function parseWanted(spec: string): Wanted {
  const [, model = '', version] = /^([^@]*)(?:@(.*))?$/s.exec(spec) ?? []
  if (!modelId.safeParse(model).success)
    throw new UsageError(`pull takes MODEL or MODEL@VERSION, not ${JSON.stringify(spec)}`)
  if (version === undefined || version === 'latest') return { model, version: null }
  if (!/^\d{1,9}$/.test(version))
    throw new UsageError(`a version is a number, not ${JSON.stringify(version)}: ${model}@3`)
  return { model, version: Number(version) }
}

/**
 * The version, its blocks and its details. `onBytes` hears what came over the wire.
 * @throws VersionMoved
 * @throws UsageError
 */
export async function askForVersion(
  server: Server,
  wanted: Wanted,
  onBytes: (bytes: number) => void,
): Promise<RemoteVersion> {
  const asked = await askForContents(server, wanted, onBytes)
  if (wanted.version !== null && asked.version !== wanted.version)
    throw new UsageError(`${server.url} answered with another version than ${wanted.version}; is it a Teatree server?`)
  const details = await askForDetails(server, wanted, asked)
  const { contents, version } = asked
  return contents.is === 'files'
    ? { ...contents, details }
    : { ...contents, details, url: contentUrl(server, wanted.model, version, DATABASE_FILE) }
}

/** Where the version is several files, the server leads from its blocks, which it has none of, to its manifest. */
async function askForContents(
  server: Server,
  { model, version }: Wanted,
  onBytes: (bytes: number) => void,
): Promise<Asked> {
  const url = contentUrl(server, model, version ?? 'latest', 'blocks')
  const response = await fetchFrom(server, url, { headers: authorization(server) })
  const body = await boundedText(response, MAX_MANIFEST_BYTES, onBytes)
  if (!response.ok) throw refusal(server, response.status, body)
  const said = parsed(body)
  if (response.url.endsWith(`/${MANIFEST_FILE}`)) {
    const manifest = Buffer.from(body)
    const read = pulledFiles.safeParse(said)
    if (!read.success)
      throw new UsageError(`${response.url} answered with no manifest that can be read: ${issueOf(read.error)}`)
    const { version, files } = read.data
    const contents = { is: 'files', files, manifest } as const
    return { version, contents, bytes: manifest.length, sha256: hash('sha256', manifest, 'hex') }
  }
  const read = pulledManifest.safeParse(said)
  if (!read.success)
    throw new UsageError(`${url} answered with no block manifest that can be read: ${issueOf(read.error)}`)
  const { version: number, bytes, blocks } = read.data
  return { version: number, contents: { is: 'file', manifest: read.data }, bytes, sha256: manifestDigest(blocks) }
}

const DETAILS = `query ($id: ID!, $at: SnapshotAt) { model(id: $id) { id name kind { name } engine size createdAt reads { id }
  snapshot(at: $at, waitMs: 0) { version lastSeq cursor publishedAt labels tables { name rows }
    content { id form url bytes sha256 createdAt } } } }`

const answered = z.object({
  model: z.object({
    ...pulledVersion.shape.model.shape,
    kind: z.object({ name: z.string() }),
    reads: z.array(z.object({ id: modelId })),
    snapshot: z.object({
      ...pulledVersion.pick({ version: true, lastSeq: true, publishedAt: true, labels: true }).shape,
      cursor: z.string().max(1000),
      tables: z.array(z.object({ name: z.string(), rows: z.coerce.number() })),
      content: z.array(
        z.object({
          id: z.string(),
          form: z.string(),
          url: z.string().nullable(),
          bytes: z.coerce.number(),
          sha256: z.string(),
          createdAt: z.string(),
        }),
      ),
    }),
  }),
})

async function askForDetails(server: Server, wanted: Wanted, asked: Asked): Promise<PulledVersion> {
  const variables = { id: wanted.model, at: { version: asked.version } }
  const answer = await graphql<unknown>(server, DETAILS, variables).catch(error => {
    throw error instanceof AnsweredError && error.code === GONE ? new VersionMoved('let go', error) : error
  })
  const read = answered.safeParse(answer)
  if (!read.success)
    throw new UsageError(`${server.url} describes the version in no way that can be read: ${issueOf(read.error)}`)
  const { snapshot, kind, reads, ...model } = read.data.model
  const { cursor, content, ...version } = snapshot
  const { sha256 } = asked
  const engine = asked.contents.is === 'files' ? 'ARROW' : 'DUCKDB'
  const isAnother = model.id !== wanted.model || version.version !== asked.version || model.engine !== engine
  // Made anew between the two questions it has another checksum.
  const file = content.find(each => each.form === engine && each.url !== null && each.sha256 === sha256)
  if (!file) throw new VersionMoved('made anew')
  if (isAnother || file.bytes !== asked.bytes)
    throw new UsageError(`${server.url} describes another version than it has the blocks of; is it a Teatree server?`)
  const { id, bytes, createdAt } = file
  const details = pulledVersion.safeParse({
    format: 1,
    model: { ...model, kind: kind.name, reads: reads.map(({ id }) => id) },
    ...version,
    completions: String(completionPosition(model.id, cursor)),
    content: { id, bytes, sha256, createdAt },
    byNumber: wanted.version !== null,
  })
  if (!details.success)
    throw new UsageError(`${server.url} describes a version that cannot be pulled: ${issueOf(details.error)}`)
  return details.data
}

/** Where something of a version is. */
export const contentUrl = (server: Server, model: string, version: number | 'latest', file: string): string =>
  new URL(`/content/${model}/${version}/${file}`, server.url).href

const GONE = 'SNAPSHOT_GONE'

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}

const issueOf = (error: z.ZodError): string => {
  const [issue] = error.issues
  return `${issue?.path.join('.')}: ${issue?.message}`
}

/** What the server says of why not, in its own words where it has some. */
export function refusal(server: Server, status: number, body: string): Error {
  const said = z
    .object({ error: z.object({ code: z.string().max(100), message: z.string().max(2000) }) })
    .safeParse(parsed(body)).data?.error
  const error = said && new AnsweredError(said.code, said.message)
  if (error) return error.code === GONE ? new VersionMoved('let go', error) : error
  return new UsageError(`${server.url} answered ${status}; is it a Teatree server?`)
}
