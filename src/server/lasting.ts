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

/**
 * Whether the operation's answer never changes: it reads snapshots alone that are chosen by their version, and of them
 * nothing that passes. Told from the document; what cannot be told is taken to change.
 */
export function isLasting({ schema, document, operationName, variableValues }: Operation): boolean {
  const operation = getOperationAST(document, operationName)
  if (operation?.operation !== 'query') return false
  const { variableValues: variables } = getVariableValues(
    schema,
    operation.variableDefinitions ?? [],
    variableValues ?? {},
  )
  if (!variables) return false
  const choosesVersion = (definition: GraphQLField<unknown, unknown>, node: FieldNode): boolean =>
    definition.args
      .filter(({ type }) => getNamedType(type).name === 'SnapshotAt')
      .every(({ name }) => {
        const at = getArgumentValues(definition, node, variables)[name] as
          | { version?: number | null }
          | null
          | undefined
        return typeof at?.version === 'number'
      })
  const types = new TypeInfo(schema)
  let lasts = true
  const visitor = visitWithTypeInfo(types, {
    Field(node) {
      const [parent, definition] = [types.getParentType(), types.getFieldDef()]
      const name = node.name.value
      if (name === '__typename') return
      lasts &&=
        parent != null &&
        definition != null &&
        definition.extensions.changes !== true &&
        stays(schema, parent, name) &&
        choosesVersion(definition, node)
    },
  })
  visit(document, visitor)
  return lasts
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
