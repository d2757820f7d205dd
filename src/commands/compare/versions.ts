import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotFiles } from '../../engine/engine.ts'
import type { Task } from './messages.ts'

/** Models of a comparison, by their ids; each engine has both. */
export type ModelId = 'sales' | 'goals'

/** Where an engine's versions of a model are. */
const versionsOf = ({ dir, engine }: Pick<Task, 'dir' | 'engine'>, model: ModelId): string =>
  join(dir, engine, 'versions', model)

export const versionFolder = (task: Task, model: ModelId, version: number): string =>
  join(versionsOf(task, model), String(version))

/** The newest version of a model that has been published; null where there is none. */
export async function newestVersion(
  task: Task,
  model: ModelId,
): Promise<{ version: number; files: SnapshotFiles } | null> {
  const numbers = (await readdir(versionsOf(task, model)).catch(() => [])).map(Number)
  const version = Math.max(0, ...numbers)
  return version === 0 ? null : versionAt(task, model, version)
}

export async function versionAt(
  task: Task,
  model: ModelId,
  version: number,
): Promise<{ version: number; files: SnapshotFiles }> {
  const folder = versionFolder(task, model, version)
  const names = await readdir(folder)
  return { version, files: Object.fromEntries(names.map(name => [name, join(folder, name)])) }
}

/** The bytes of a version's files. */
export async function bytesOf(files: SnapshotFiles): Promise<number> {
  const found = await Promise.all(Object.values(files).map(path => stat(path)))
  return found.reduce((sum, { size }) => sum + size, 0)
}
