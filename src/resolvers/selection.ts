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

/** The fields selected below some fields, by name, whatever their aliases; each with all its nodes. */
export type Selection = ReadonlyMap<string, readonly FieldNode[]>

/**
 * What is selected below the field being resolved, or along each of the paths together: `selected(info, ['nodes'],
 * ['edges', 'node'])` are the fields of a connection's nodes. Types are not looked at: no path leads through an
 * interface or a union.
 */
export function selected(info: Info, ...paths: readonly (readonly string[])[]): Selection {
  const nodes = (paths.length > 0 ? paths : [[]]).flatMap(path =>
    path.reduce((from, name) => fieldsOf(info, from).get(name) ?? [], info.fieldNodes as readonly FieldNode[]),
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

/** The fields selected below some. */
export function fieldsOf(info: Pick<Info, 'fragments' | 'variableValues'>, fields: readonly FieldNode[]): Selection {
  const found = new Map<string, FieldNode[]>()
  // Once for all fields: a fragment that is spread twice, or in a circle of spreads, adds nothing the second time.
  const spread = new Set<string>()
  const visit = (set: SelectionSetNode | undefined): void => {
    for (const node of set?.selections ?? []) {
      if (!isIncluded(info, node)) continue
      if (node.kind === Node.FIELD) {
        const { value: name } = node.name
        found.set(name, [...(found.get(name) ?? []), node])
      } else if (node.kind === Node.INLINE_FRAGMENT) {
        visit(node.selectionSet)
      } else if (!spread.has(node.name.value)) {
        spread.add(node.name.value)
        visit(info.fragments[node.name.value]?.selectionSet)
      }
    }
  }
  for (const { selectionSet } of fields) visit(selectionSet)
  return found
}

function isIncluded({ variableValues }: Pick<Info, 'variableValues'>, node: SelectionNode): boolean {
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.if !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.if !== false
  )
}
