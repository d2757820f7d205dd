import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errno } from '../errno.ts'
import { diskFault } from './disk-fault.ts'

interface Entry {
  name: string
  folder: boolean
  order: Buffer
}

async function entries(folder: string): Promise<Entry[]> {
  try {
    const found = await readdir(folder, { withFileTypes: true })
    return found
      .filter(entry => entry.isFile() || entry.isDirectory())
      .map(entry => {
        const folder = entry.isDirectory()
        // 'a/b' comes after 'a!c': a folder sorts by its name with the slash that its keys go on with.
        return { name: entry.name, folder, order: Buffer.from(folder ? `${entry.name}/` : entry.name) }
      })
      .sort((a, b) => Buffer.compare(a.order, b.order))
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return []
    throw diskFault(error)
  }
}

/**
 * The files below `root` whose path, relative to it and with '/', begins with `prefix`; by the UTF-8 bytes of those
 * paths. Holds one folder's names per level in memory.
 */
export async function* walkFiles(root: string, prefix = ''): AsyncGenerator<string> {
  const slash = prefix.lastIndexOf('/') + 1
  yield* below(root, prefix.slice(0, slash), prefix.slice(slash))
}

async function* below(root: string, parent: string, begin: string): AsyncGenerator<string> {
  for (const { name, folder } of await entries(join(root, parent))) {
    if (!name.startsWith(begin)) continue
    if (folder) yield* below(root, `${parent}${name}/`, '')
    else yield parent + name
  }
}
