import { z } from 'zod'
import { ENGINE_NAMES } from './context.ts'
import { type KindDefinition, WAYS_OF_WRITING } from './definition.ts'
import { broken } from './scope.ts'

/**
 * The shape of a definition (definition.ts) for kinds that no compiler has seen. What the shape cannot say (names,
 * clashes, what refers to what) is checked afterwards.
 */
const column = z.union([z.string(), z.strictObject({ type: z.string(), description: z.string().optional() })], {
  error: 'must be a type, or {type, description}',
})
const columns = z.record(z.string(), column)
const code = z.custom<unknown>(value => typeof value === 'function', 'must be a function')
const url = z.custom<URL>(value => value instanceof URL, 'must be a URL: new URL("./name.sql", import.meta.url)')
const text = z.string().min(1, 'must not be empty')

const table = z.strictObject({
  row: z.string(),
  description: text,
  columns,
  key: z.array(z.string()),
  references: z
    .array(
      z.strictObject({
        columns: z.array(z.string()),
        table: z.string(),
        as: z.string(),
        description: z.string().optional(),
      }),
    )
    .optional(),
  writes: z.array(z.enum(WAYS_OF_WRITING)),
})

const argument: z.ZodType = z.lazy(() =>
  z.strictObject({
    type: z.discriminatedUnion('is', [
      z.strictObject({ is: z.literal('scalar'), type: z.string() }),
      z.strictObject({
        is: z.literal('enum'),
        name: z.string(),
        description: text,
        values: z.record(z.string(), z.string()),
      }),
      z.strictObject({ is: z.literal('object'), name: z.string(), description: text, fields }),
      z.strictObject({ is: z.literal('list'), of: argument }),
      z.strictObject({ is: z.literal('where'), table: z.string() }),
      z.strictObject({ is: z.literal('model'), of: z.string(), version: z.string().optional() }),
    ]),
    nullable: z.boolean(),
    default: z.unknown().optional(),
    description: z.string().optional(),
    valueType: z.unknown().optional(),
  }),
)
const fields = z.record(z.string(), argument)

const result = z.strictObject({ name: z.string(), description: text, columns })
const common = {
  description: text,
  arguments: fields,
  errors: z.record(z.string(), text).optional(),
  timeoutSeconds: z.number().positive().max(86_400).optional(),
  check: code.optional(),
}
/** @param sql how it may be written for the engine of SQL */
const implementedBy = (sql: z.ZodType) => z.strictObject({ DUCKDB: sql.optional(), ARROW: code.optional() })

const definition = z.strictObject({
  name: z.string(),
  description: text,
  prefix: z.string().optional(),
  engines: z.array(z.enum(ENGINE_NAMES)).min(1, 'must name at least one engine'),
  tables: z.record(z.string(), table),
  functions: z
    .record(
      z.string(),
      z.strictObject({
        ...common,
        result,
        runsOn: z.string().optional(),
        engines: implementedBy(
          z.union([code, z.strictObject({ sql: url })], { error: 'must be a function, or {sql: URL}' }),
        ),
      }),
    )
    .optional(),
  queries: z
    .record(
      z.string(),
      z.strictObject({
        ...common,
        row: result,
        page: columns.optional(),
        engines: implementedBy(
          z.union(
            [
              code,
              z.strictObject({ sql: url, orderBy: z.array(z.string()).min(1, 'must name at least one row column') }),
            ],
            {
              error: 'must be a function, or {sql: URL, orderBy: names of row columns}',
            },
          ),
        ),
      }),
    )
    .optional(),
})

/**
 * The definition, where it has the shape of one.
 * @throws UsageError that names the first place where it has not
 */
export function readDefinition(place: string, value: unknown): KindDefinition {
  const read = definition.safeParse(value)
  if (read.success) return value as KindDefinition
  const [issue] = read.error.issues
  return broken(
    [place, ...(issue?.path.length ? [issue.path.join('.')] : [])].join(', '),
    issue?.message ?? 'is broken',
  )
}
