import type { FileDescription } from '../../engine.ts'
import type { ImportFormat } from '../../files.ts'
import { inMemory } from '../in-memory.ts'
import { describeFile } from './describe.ts'

/** What an uploaded file holds, for whichever engine. @throws TeatreeError BAD_FILE where it cannot be read */
export const describeUpload = (path: string, format: ImportFormat): Promise<FileDescription> =>
  inMemory(null, sql => describeFile(sql, path, format))
