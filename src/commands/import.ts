import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { UsageError } from '../platform/errors.ts'
import { graphql, type Server, submit, upload } from './client.ts'
import { showProgress } from './progress.ts'

export interface ImportOptions extends Server {
  model: string
  table: string
  map?: readonly string[]
  mode: string
}

/** `teatree import FILE --model ID --table TABLE [--map column=from …]`: uploads a file and imports it, until published. */
export async function importFile(file: string, options: ImportOptions): Promise<void> {
  const found = await stat(file).catch(() => null)
  if (!found?.isFile()) throw new UsageError(`there is no file ${file}`)
  const columns = options.map?.map(pair => {
    const [column, from] = pair.split(/=(.*)/s)
    if (!column || !from) throw new UsageError(`--map takes column=from, not ${pair}`)
    return { column, from }
  })
  const mutation = await mutationFor(options)
  const progress = showProgress(`Importing ${options.table}`)
  const id = await upload(options, createReadStream(file), {
    onBytes: sent => progress.at('upload', found.size === 0 ? null : (sent / found.size) * 0.5),
  })
  const variables = {
    model: options.model,
    source: { upload: { id, ...(columns ? { columns } : {}) } },
    mode: options.mode,
  }
  const intent = await submit(
    options,
    { name: mutation, types: '$model: ID!, $source: ImportSource!, $mode: ImportMode', variables },
    state => progress.at(state.step ?? state.status.toLowerCase(), 0.5 + (state.progress ?? 0) / 2),
  )
  const { inserted, updated, deleted } = (intent.result ?? {}) as Record<string, string>
  progress.done(`version ${intent.version}: ${inserted} inserted, ${updated} updated, ${deleted} deleted`)
}

/** The name of the mutation, as the server's schema has it: kinds with a prefix have it in the name. */
async function mutationFor(options: ImportOptions): Promise<string> {
  const { model, __schema } = await graphql<{
    model: { kind: { name: string; tables: { name: string }[] } } | null
    __schema: { mutationType: { fields: { name: string }[] } }
  }>(
    options,
    `query ($id: ID!) { model(id: $id) { kind { name tables { name } } } __schema { mutationType { fields { name } } } }`,
    {
      id: options.model,
    },
  )
  if (!model) throw new UsageError(`there is no model ${options.model} at ${options.url}`)
  const tables = model.kind.tables.map(({ name }) => name)
  if (!tables.includes(options.table))
    throw new UsageError(`model ${options.model} has no table ${options.table}; it has ${tables.join(', ')}`)
  const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
  const wanted = [capital(model.kind.name) + capital(options.table), capital(options.table)].map(
    name => `import${name}`,
  )
  const name = wanted.find(candidate => __schema.mutationType.fields.some(field => field.name === candidate))
  if (!name) throw new UsageError(`table ${options.table} of ${options.model} takes no imports`)
  return name
}
