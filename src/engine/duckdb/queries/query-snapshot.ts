import type { VersionBeside } from '../../versions-beside.ts'
import type { QuerySnapshot, QuerySource } from './messages.ts'

/** The same of versions of other models, in their order. */
export const querySources = (
  others: readonly { alias: string; model: string; of: VersionBeside & { version: number } }[],
  signal: AbortSignal | undefined,
): Promise<QuerySource[]> =>
  Promise.all(
    others.map(async ({ alias, model, of }) => ({
      alias,
      model,
      version: of.version,
      snapshot: await querySnapshot(of, signal),
    })),
  )

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
