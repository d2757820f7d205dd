import { TeatreeError } from '../platform/errors.ts'
import type { Version } from './records.ts'

/**
 * Sees that files are of the version that they were found under: another version's in their place would lose what was
 * published since, without a word. Their lastSeq may be behind the published one: intents at a batch's end that were
 * refused before the engine saw them are not in it. Version 0 has no files.
 * @throws TeatreeError INTERNAL
 */
export function checkAsPublished(
  files: { readonly version: number; readonly lastSeq: bigint },
  { model, version, lastSeq }: Pick<Version, 'model' | 'version' | 'lastSeq'>,
): void {
  if (files.version === version && files.lastSeq <= lastSeq) return
  const holds = `they hold version ${files.version} up to seq ${files.lastSeq}`
  throw new TeatreeError(
    'INTERNAL',
    `The files of version ${version} of model ${model} are not what was published: ${holds}.`,
  )
}
