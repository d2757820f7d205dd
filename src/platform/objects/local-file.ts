import { type FileHandle, open } from 'node:fs/promises'
import { errno } from '../errno.ts'
import { TeatreeError } from '../errors.ts'
import { diskFault } from './disk-fault.ts'
import { Meter } from './meter.ts'
import type { GetFileOptions, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
import { writeWholeFile } from './whole-file.ts'

/** The bytes `[start, end)` of an open file; the file stays open. */
export async function* readChunks(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (end <= start) return
  try {
    yield* file.createReadStream({ start, end: end - 1, autoClose: false })
  } catch (error) {
    throw errno(error) === undefined ? error : diskFault(error)
  }
}

/** `ObjectStore.putFile` by way of `put`. */
export async function putLocalFile(
  store: ObjectStore,
  key: string,
  path: string,
  options: PutOptions,
): Promise<StoredObject> {
  await using file = await open(path)
  const { size } = await file.stat()
  const chunks = readChunks(file, 0, Number.POSITIVE_INFINITY)
  return await store.put(key, chunks, { ...options, expect: { bytes: size, ...options.expect } })
}

/** `ObjectStore.getFile` by way of `get`. */
export async function getLocalFile(
  store: ObjectStore,
  key: string,
  path: string,
  { expect, signal }: GetFileOptions,
): Promise<StoredObject> {
  const body = await store.get(key, { signal })
  if (body === null) throw new TeatreeError('NOT_FOUND', 'The object store has no such object.', { details: { key } })
  const meter = new Meter({ expect, signal })
  await writeWholeFile(path, meter.read(body))
  return { key, ...meter.measured() }
}
