import { DuckDBInstance } from '@duckdb/node-api'

/*
 * The process in which a WAL is written into its database, a copy that nobody else has open: `clean-file-process PATH VERSION`.
 */

const MEMORY = '1GiB'

/** A WAL that is cut short is replayed as far as it goes, without a word: only the state says what came of it. */
async function checkpoint(path: string, version: number): Promise<void> {
  const instance = await DuckDBInstance.create(path, {
    threads: '1',
    memory_limit: MEMORY,
    temp_directory: `${path}.spill`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    enable_external_access: 'false',
  })
  const connection = await instance.connect()
  try {
    const holds = await connection.runAndReadAll('SELECT version FROM _teatree.state')
    if (Number(holds.getRows()[0]?.[0]) !== version) throw new Error(`the files do not hold version ${version}`)
    await connection.run('CHECKPOINT')
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

// without the process that asked for it there is nobody to do it for
const abandoned = () => process.exit(1)
process.once('disconnect', abandoned)
try {
  await checkpoint(process.argv[2] ?? '', Number(process.argv[3]))
  process.off('disconnect', abandoned)
  process.disconnect()
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error), () => process.exit(1))
}
