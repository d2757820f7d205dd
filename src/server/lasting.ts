import {
  type DocumentNode,
  type FieldNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getArgumentValues,
  getNamedType,
  getOperationAST,
  getVariableValues,
  isObjectType,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'

/** Of a model, what stays as it is for ever. */
const OF_MODELS: readonly string[] = ['id', 'engine', 'createdAt', 'snapshot']
/** Of a snapshot and its parts, what does not: `tables` tell of the kind as it is today. So do fields that are marked. */
const PASSING: readonly string[] = ['labels', 'content', 'model', 'sql', 'tables', 'url']

interface Operation {
  schema: GraphQLSchema
  document: DocumentNode
  operationName?: string | null | undefined
  variableValues?: { readonly [name: string]: unknown } | null | undefined
}

/** By document and operation. Documents that come again are the same objects (documents.ts). */
const known = new WeakMap<DocumentNode, Map<string, boolean>>()

/**
 * Whether the operation's answer is of the versions that it reads, whichever these are: it reads snapshots alone, and of
 * them nothing that passes. Told from the document; what cannot be told is taken to pass.
 */
export function isOfVersions(of: Operation): boolean {
  const operations = known.get(of.document) ?? new Map<string, boolean>()
  known.set(of.document, operations)
  const name = of.operationName ?? ''
  const told = operations.get(name) ?? readsVersionsAlone(of)
  operations.set(name, told)
  return told
}

function readsVersionsAlone({ schema, document, operationName }: Operation): boolean {
  if (getOperationAST(document, operationName)?.operation !== 'query') return false
  return everyField(
    { schema, document },
    (parent, definition, { name }) =>
      name.value === '__typename' ||
      (parent != null &&
        definition != null &&
        definition.extensions.changes !== true &&
        stays(schema, parent, name.value)),
  )
}

/** Whether the operation's answer never changes: it is of versions that are chosen by their number. */
export function isLasting(of: Operation): boolean {
  if (!isOfVersions(of)) return false
  const { schema, document, operationName, variableValues } = of
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? []
  const { variableValues: variables } = getVariableValues(schema, definitions, variableValues ?? {})
  if (!variables) return false
  return everyField(of, (_, definition, node) =>
    (definition?.args ?? [])
      .filter(({ type }) => getNamedType(type).name === 'SnapshotAt')
      .every(({ name }) => {
        const at = definition && getArgumentValues(definition, node, variables)[name]
        return typeof (at as { version?: number | null } | null | undefined)?.version === 'number'
      }),
  )
}

function everyField(
  { schema, document }: Pick<Operation, 'schema' | 'document'>,
  holds: (
    parent: GraphQLNamedType | null | undefined,
    definition: GraphQLField<unknown, unknown> | null | undefined,
    node: FieldNode,
  ) => boolean,
): boolean {
  const types = new TypeInfo(schema)
  let all = true
  const visitor = visitWithTypeInfo(types, {
    Field(node) {
      all &&= holds(types.getParentType(), types.getFieldDef(), node)
    },
  })
  visit(document, visitor)
  return all
}

function stays(schema: GraphQLSchema, parent: GraphQLNamedType, field: string): boolean {
  if (parent === schema.getQueryType()) {
    const type = getNamedType(schema.getQueryType()?.getFields()[field]?.type)
    return implementsInterface(type, 'Model')
  }
  return implementsInterface(parent, 'Model') ? OF_MODELS.includes(field) : !PASSING.includes(field)
}

const implementsInterface = (type: GraphQLNamedType | undefined, name: string): boolean =>
  isObjectType(type) && type.getInterfaces().some(each => each.name === name)
