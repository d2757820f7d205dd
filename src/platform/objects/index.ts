import { UsageError } from '../errors.ts'
import { FileStore } from './file-store.ts'
import type { ObjectStore } from './object-store.ts'
import type { Environment, Patience } from './s3-settings.ts'

export { isTempName } from './keys.ts'
export type {
  Expected,
  GetFileOptions,
  GetOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoredObject,
} from './object-store.ts'

/**
 * The object store at `file:///path` or `s3://bucket/prefix`; anything else is a UsageError. `env` gives the AWS_*
 * settings of S3. Nothing is asked of the store yet: `check()` tells whether it works. The S3 client is loaded where the
 * store is one: that is a tenth of a process's start.
 */
export async function openObjectStore(
  url: string,
  env: Environment = process.env,
  patience: Patience = {},
): Promise<ObjectStore> {
  if (url.startsWith('file:')) return new FileStore(url)
  if (url.startsWith('s3:')) return new (await import('./s3-store.ts')).S3Store(url, env, patience)
  // The value is not repeated: what is wrong with it may be a password inside.
  throw new UsageError('TEATREE_STORE_URL must be file:///path or s3://bucket/prefix')
}
