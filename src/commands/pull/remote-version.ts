import { z } from 'zod'
import { manifestDigest } from '../../engine/blocks.ts'
import {
  MAX_MANIFEST_BYTES,
  modelId,
  type PulledManifest,
  type PulledVersion,
  pulledManifest,
  pulledVersion,
} from '../../jobs/offline/pulled-version.ts'
import { UsageError } from '../../platform/errors.ts'
import { completionPosition } from '../../resolvers/completion-cursors.ts'
import { boundedText } from '../bounded-body.ts'
import { AnsweredError, authorization, graphql, reach, type Server } from '../client.ts'

/** What is to be pulled: `MODEL`, which is the newest version, or `MODEL@VERSION`. */
export interface Wanted {
  model: string
  version: number | null
}

/** A version as the server has it. */
export interface RemoteVersion {
  details: PulledVersion
  manifest: PulledManifest
  /** Without a query; the file may be asked for in ranges. */
  url: string
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
  const manifest = await askForManifest(server, wanted, onBytes)
  if (wanted.version !== null && manifest.version !== wanted.version)
    throw new UsageError(`${server.url} answered with another version than ${wanted.version}; is it a Teatree server?`)
  const details = await askForDetails(server, wanted, manifest)
  return { details, manifest, url: contentUrl(server, wanted.model, manifest.version, 'model.duckdb') }
}

async function askForManifest(
  server: Server,
  { model, version }: Wanted,
  onBytes: (bytes: number) => void,
): Promise<PulledManifest> {
  const url = contentUrl(server, model, version ?? 'latest', 'blocks')
  const response = await reach(server, url, { headers: authorization(server) })
  const body = await boundedText(response, MAX_MANIFEST_BYTES, onBytes)
  if (!response.ok) throw refusal(server, response.status, body)
  const manifest = pulledManifest.safeParse(parsed(body))
  if (manifest.success) return manifest.data
  throw new UsageError(`${url} answered with no block manifest that can be read: ${issueOf(manifest.error)}`)
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

async function askForDetails(server: Server, wanted: Wanted, manifest: PulledManifest): Promise<PulledVersion> {
  const variables = { id: wanted.model, at: { version: manifest.version } }
  const answer = await graphql<unknown>(server, DETAILS, variables).catch(error => {
    throw error instanceof AnsweredError && error.code === GONE ? new VersionMoved('let go', error) : error
  })
  const read = answered.safeParse(answer)
  if (!read.success)
    throw new UsageError(`${server.url} describes the version in no way that can be read: ${issueOf(read.error)}`)
  const { snapshot, kind, reads, ...model } = read.data.model
  const { cursor, content, ...version } = snapshot
  const isAnother = model.id !== wanted.model || version.version !== manifest.version
  const sha256 = manifestDigest(manifest.blocks)
  // Made anew between the two questions it has another checksum.
  const file = content.find(each => each.form === 'DUCKDB' && each.url !== null && each.sha256 === sha256)
  if (!file) throw new VersionMoved('made anew')
  if (isAnother || file.bytes !== manifest.bytes)
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

const contentUrl = (server: Server, model: string, version: number | 'latest', file: string): string =>
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
