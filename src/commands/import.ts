import { open } from 'node:fs/promises'
import { UsageError } from '../platform/errors.ts'
import { graphql, type Server, submit, upload } from './client.ts'
import { showProgress } from './progress.ts'
import { abortOn } from './stop.ts'

export interface ImportOptions extends Server {
  model: string
  table: string
  map?: readonly string[]
  mode: string
}

/** `teatree import FILE --model ID --table TABLE [--map column=from]…`: uploads a file and imports it, until published. */
export async function importFile(file: string, options: ImportOptions): Promise<void> {
  // Opened before anything else: a file that cannot be read is not the server's fault.
  await using opened = await open(file).catch((error: Error) => {
    throw new UsageError(`the file cannot be read: ${error.message}`)
  })
  const found = await opened.stat()
  if (!found.isFile()) throw new UsageError(`${file} is no file`)
  const columns = options.map?.map(pair => {
    const [column, from] = pair.split(/=(.*)/s)
    if (!column || !from) throw new UsageError(`--map takes column=from, not ${pair}`)
    return { column, from }
  })
  const server = { ...options, signal: abortOn(['SIGTERM', 'SIGINT']) }
  const mutation = await mutationFor(server)
  using progress = showProgress(`Importing ${options.table}`)
  // Disposed of before the file, whose closing waits for it: one that nobody came to read would hold it open.
  await using body = opened.createReadStream()
  const id = await upload(server, body, {
    onBytes: sent => progress.at('upload', found.size === 0 ? null : (sent / found.size) * 0.5),
  })
  const variables = {
    model: options.model,
    source: { upload: { id, ...(columns ? { columns } : {}) } },
    mode: options.mode,
  }
  const intent = await submit(
    server,
    { name: mutation, types: '$model: ID!, $source: ImportSource!, $mode: ImportMode', variables },
    state => progress.at(state.step ?? state.status.toLowerCase(), 0.5 + (state.progress ?? 0) / 2),
  )
  const { inserted, updated, deleted } = (intent.result ?? {}) as Record<string, string>
  progress.done(`version ${intent.version}: ${inserted} inserted, ${updated} updated, ${deleted} deleted`)
}

/** The name of the mutation that imports into the table, as the server says it: a kind's prefix is part of it. */
async function mutationFor(options: ImportOptions): Promise<string> {
  const { model } = await graphql<{ model: { kind: { tables: { name: string; writes: string[] }[] } } | null }>(
    options,
    'query ($id: ID!) { model(id: $id) { kind { tables { name writes } } } }',
    { id: options.model },
  )
  if (!model) throw new UsageError(`there is no model ${options.model} at ${options.url}`)
  const { tables } = model.kind
  const table = tables.find(({ name }) => name === options.table)
  if (!table) {
    const known = tables.map(({ name }) => name).join(', ')
    throw new UsageError(`model ${options.model} has no table ${options.table}; it has ${known}`)
  }
  const mutation = table.writes.find(name => name.startsWith('import'))
  if (!mutation) throw new UsageError(`table ${options.table} of ${options.model} takes no imports`)
  return mutation
}
