import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { isTempName, type ObjectInfo, type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import { clientSettings, type Patience, parseS3Url } from '../../src/platform/objects/s3-settings.ts'
import { type Rule, startTcpProxy } from './tcp-proxy.ts'

/** An empty store of its own for a test. */
export interface TestStore extends AsyncDisposable {
  readonly url: string
  readonly store: ObjectStore
  /** An empty local folder. */
  readonly folder: string
  /** The unfinished: temporary files, or uploads in parts that were neither completed nor aborted. */
  unfinished(): Promise<string[]>
}

/** A real S3 store, where one is given; its settings are the AWS_* variables. */
export const S3_URL = process.env.TEATREE_TEST_STORE_URL

/** The name of a suite that needs S3, saying so where it is skipped. */
export function onS3(name: string): string {
  return S3_URL ? name : `${name} (skipped: TEATREE_TEST_STORE_URL is not set)`
}

/** What a suite that holds for every store runs on: `describe.each(STORES)`. */
export const STORES = [
  { name: 'file store', make: fileTestStore, there: true },
  { name: onS3('s3 store'), make: s3TestStore, there: Boolean(S3_URL) },
]

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** `bytes` as a body that comes bit by bit. */
export async function* inChunks(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export async function bytesOf(body: Readable | null): Promise<Buffer | null> {
  return body === null ? null : await buffer(body)
}

export async function textOf(body: Readable | null): Promise<string | undefined> {
  return (await bytesOf(body))?.toString()
}

export async function keysOf(objects: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of objects) keys.push(key)
  return keys
}

export async function fileTestStore(): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), 'teatree-objects-'))
  const root = join(folder, 'store')
  const url = pathToFileURL(root).href
  const store = await openObjectStore(url)
  return {
    url,
    store,
    folder,
    unfinished: async () => (await readdir(root, { recursive: true })).filter(path => isTempName(basename(path))),
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await rm(folder, { recursive: true })
    },
  }
}

export async function s3TestStore(): Promise<TestStore> {
  const url = `${S3_URL}/${randomUUID()}`
  const { bucket: Bucket, prefix } = parseS3Url(url)
  const folder = await mkdtemp(join(tmpdir(), 'teatree-objects-'))
  const store = await openObjectStore(url)
  const client = new S3Client(clientSettings(process.env, {}))
  const uploads = async () =>
    (await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }))).Uploads ?? []
  return {
    url,
    store,
    folder,
    unfinished: async () => (await uploads()).map(({ Key }) => `${Key}`),
    [Symbol.asyncDispose]: async () => {
      for await (const { key } of store.list('')) await store.delete(key)
      for (const { Key, UploadId } of await uploads()) {
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
      }
      client.destroy()
      await store.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** A store at whose address nobody listens. */
export const nobodysStore = (): Promise<ObjectStore> =>
  openObjectStore('s3://nobody/there', {
    AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'nobody',
    AWS_SECRET_ACCESS_KEY: 'nothing',
  })

/** The store at `url` seen through a proxy; `rule` is asked of every chunk. */
export async function throughProxy(
  url: string,
  rule: Rule,
  patience: Patience = {},
): Promise<{ store: ObjectStore } & AsyncDisposable> {
  const proxy = await startTcpProxy(`${process.env.AWS_ENDPOINT_URL_S3}`, rule)
  const store = await openObjectStore(url, { ...process.env, AWS_ENDPOINT_URL_S3: proxy.url }, patience)
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}
