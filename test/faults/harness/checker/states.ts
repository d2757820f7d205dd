import { difference, digestOf } from '../digest.ts'
import type { History, Tables, Violation } from '../history.ts'
import type { Replayed } from './replay.ts'

/** The rows of versions and of archives against the single-threaded model. (6, 7) */
export function checkStates(history: History, replayed: ReadonlyMap<string, Replayed>): Violation[] {
  const digests = new Map<string, string>()
  const found: Violation[] = []
  const compare = (invariant: number, what: string, of: { model: string; version: number; content: string }) => {
    const expected = replayed.get(of.model)?.at(of.version)
    const tables = history.contents.get(of.content)
    if (!tables || found.some(violation => violation.what.startsWith(`${what} `) && violation.shown[0] === of.model))
      return
    if (!expected) {
      found.push({ invariant, what: `${what} ${of.version} of ${of.model} never was`, shown: [of.model] })
      return
    }
    const asked = select(expected, tables)
    const key = `${of.model} ${of.version} ${Object.keys(tables)}`
    const digest = digests.get(key) ?? digestOf(asked)
    digests.set(key, digest)
    if (digest !== of.content)
      found.push({
        invariant,
        what: `${what} ${of.version} of ${of.model} is not what the ledger leads to`,
        shown: [of.model, ...difference(asked, tables)],
      })
  }
  for (const { model, version, content } of history.reads)
    if (version !== null && content !== null) compare(6, 'version', { model, version, content })
  for (const archive of history.end.archives) compare(7, 'the archive of version', archive)
  return found
}

/** The tables that were read, with the columns that were. */
const select = (tables: Tables, like: Tables): Tables =>
  Object.fromEntries(Object.keys(like).map(name => [name, tables[name] ?? []]))
