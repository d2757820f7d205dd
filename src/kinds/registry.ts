import { readdir } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../platform/errors.ts'
import { checkKind, checkKinds } from './check.ts'
import type { Kind, Kinds } from './kind.ts'

interface KindModule {
  /** As errors call it. */
  from: string
  load: () => Promise<{ default?: unknown }>
}

/** The kinds that ship: modules like any other, and without a privilege. */
const SHIPPED: readonly KindModule[] = [
  { from: 'models/sales.ts', load: () => import('../../models/sales.ts') },
  { from: 'models/goals.ts', load: () => import('../../models/goals.ts') },
]

/**
 * The kinds that this server knows: those that ship, then one for each file of `directory` (.ts, .js or .mjs, by name).
 * @throws UsageError with one line that names the file: a module that cannot be loaded, a definition that is broken,
 *   names that clash
 */
export async function loadKinds({ directory }: { directory?: string | undefined } = {}): Promise<Kinds> {
  const modules = [...SHIPPED, ...(directory === undefined ? [] : await modulesIn(resolve(directory)))]
  const kinds = new Map<string, Kind>()
  const files = new Map<string, string>()
  // one after the other, so that the same broken file is named at every start
  for (const module of modules) {
    const kind = await loadKind(module)
    const other = files.get(kind.name)
    if (other) throw new UsageError(`${module.from}: there is a kind ${kind.name} already, in ${other}`)
    kinds.set(kind.name, kind)
    files.set(kind.name, module.from)
  }
  checkKinds([...kinds.values()])
  return kinds
}

async function loadKind({ from, load }: KindModule): Promise<Kind> {
  let module: { default?: unknown }
  try {
    module = await load()
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new UsageError(`${from}: the module cannot be loaded: ${reason.split('\n', 1)[0]}`)
  }
  if (module.default === undefined) {
    throw new UsageError(`${from}: exports no kind; write: export default defineKind({ … })`)
  }
  try {
    return checkKind(module.default)
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${from}: ${error.message}`) : error
  }
}

async function modulesIn(directory: string): Promise<KindModule[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`TEATREE_KINDS: the directory ${directory} cannot be read (${error.code})`)
  })
  letKindsImportTeatree()
  return names
    .filter(name => /^[^.].*\.(ts|js|mjs)$/.test(name) && !name.endsWith('.d.ts'))
    .sort()
    .map(name => {
      const file = join(directory, name)
      return { from: file, load: () => import(/* @vite-ignore */ pathToFileURL(file).href) }
    })
}

let hooked = false

/**
 * A directory of kinds has no `node_modules` to find us in: whoever imports `teatree` gets this very package, resolved as
 * from this file. It must be this one and no other copy, or its TeatreeError would not be ours.
 */
function letKindsImportTeatree(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, specifier === 'teatree' ? { ...context, parentURL: import.meta.url } : context),
  })
}
