import type { VersionBeside } from '../../versions-beside.ts'
import type { QuerySnapshot } from './messages.ts'

/** What another process needs to read the version by SQL, whichever engine it is on. */
export async function querySnapshot(of: VersionBeside, signal: AbortSignal | undefined): Promise<QuerySnapshot> {
  const parquets = await of.parquets?.(signal)
  const { name: kind, shape, tables } = of.kind
  return {
    kind,
    shape,
    tables: [...tables.values()].map(({ name, columns }) => ({ name, columns: [...columns.values()] })),
    ...(parquets ? { files: {}, parquets } : { files: of.asSource('', '').files }),
  }
}
