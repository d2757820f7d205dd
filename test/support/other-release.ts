import { rename, stat } from 'node:fs/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Engine, SnapshotReader } from '../../src/engine/engine.ts'
import { instead } from './instead.ts'

/** The engine as another release might have it: what it exports holds the same rows in other bytes. */
export const ofAnotherRelease = (engine: Engine): Engine => ({
  ...engine,
  async openReaders() {
    const readers = await engine.openReaders()
    return instead(readers, { open: async options => exportingOtherBytes(await readers.open(options)) })
  },
})

const exportingOtherBytes = (reader: SnapshotReader): SnapshotReader =>
  instead(reader, {
    async exportParquet(...args) {
      const { rows } = await reader.exportParquet(...args)
      return { rows, bytes: await encodedAnew(args[1]) }
    },
  })

async function encodedAnew(path: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(`COPY (FROM read_parquet('${path}')) TO '${path}.anew' (FORMAT parquet, COMPRESSION gzip)`)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
  await rename(`${path}.anew`, path)
  return (await stat(path)).size
}
