import {
  type FieldNode,
  GraphQLIncludeDirective,
  type GraphQLResolveInfo,
  GraphQLSkipDirective,
  getDirectiveValues,
  Kind as Node,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql'
import type { Table } from '../kinds/kind.ts'

type Info = Pick<GraphQLResolveInfo, 'fieldNodes' | 'fragments' | 'variableValues'>

/** The fields selected below some fields, by name, whatever their aliases; each as often as it will be in the answer. */
export type Selection = ReadonlyMap<string, readonly FieldNode[]>

/**
 * What is selected below the field being resolved, or along each of the paths together: `selected(info, ['nodes'],
 * ['edges', 'node'])` are the fields of a connection's nodes. Types are not looked at: no path leads through an
 * interface or a union.
 */
export function selected(info: Info, ...paths: readonly (readonly string[])[]): Selection {
  const nodes = (paths.length > 0 ? paths : [[]]).flatMap(path =>
    path.reduce((from, name) => fieldsOf(info, from).get(name) ?? [], asOne(info.fieldNodes)),
  )
  return fieldsOf(info, nodes)
}

/** The fields of a connection's nodes. */
export const selectedNodes = (info: Info, ...path: readonly string[]): Selection =>
  selected(info, ['nodes', ...path], ['edges', 'node', ...path])

/** The columns to be read for a row: those selected, and those that selected references go by. */
export function columnsOf(table: Table, selection: Selection): string[] {
  const wanted = new Set(table.references.filter(({ as }) => selection.has(as)).flatMap(reference => reference.columns))
  return [...table.columns.keys()].filter(name => selection.has(name) || wanted.has(name))
}

/** Whether a row's references are selected. */
export const refers = (table: Table, selection: Selection): boolean =>
  table.references.some(({ as }) => selection.has(as))

/** The fields selected below some, each of which is in the answer by itself. */
export function fieldsOf(info: Pick<Info, 'fragments' | 'variableValues'>, fields: readonly FieldNode[]): Selection {
  const found = new Map<string, FieldNode[]>()
  for (const field of fields) {
    for (const nodes of inAnswer(info, field).values()) {
      for (const node of asOne(nodes)) {
        const same = found.get(node.name.value)
        if (same) same.push(node)
        else found.set(node.name.value, [node])
      }
    }
  }
  return found
}

/** What is selected below a field, by how it is called in the answer. */
function inAnswer({ fragments, ...info }: Pick<Info, 'fragments' | 'variableValues'>, field: FieldNode) {
  const found = new Map<string, FieldNode[]>()
  // A fragment that is spread twice, or in a circle of spreads, adds nothing the second time.
  const spread = new Set<string>()
  const visit = (set: SelectionSetNode | undefined): void => {
    for (const node of set?.selections ?? []) {
      if (!isIncluded(info, node)) continue
      if (node.kind === Node.FIELD) {
        const name = (node.alias ?? node.name).value
        const same = found.get(name)
        if (same) same.push(node)
        else found.set(name, [node])
      } else if (node.kind === Node.INLINE_FRAGMENT) {
        visit(node.selectionSet)
      } else if (!spread.has(node.name.value)) {
        spread.add(node.name.value)
        visit(fragments[node.name.value]?.selectionSet)
      }
    }
  }
  visit(field.selectionSet)
  return found
}

/**
 * Fields that are called the same in the answer are one there, with the selections of all. There are few of them then,
 * whatever is written down how often: each that is there besides has an alias, or is below one.
 */
function asOne(nodes: readonly FieldNode[]): readonly FieldNode[] {
  const [first] = nodes
  if (!first?.selectionSet || nodes.length === 1) return nodes.slice(0, 1)
  const selections = nodes.flatMap(({ selectionSet }) => selectionSet?.selections ?? [])
  return [{ ...first, selectionSet: { ...first.selectionSet, selections } }]
}

function isIncluded({ variableValues }: Pick<Info, 'variableValues'>, node: SelectionNode): boolean {
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.if !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.if !== false
  )
}
