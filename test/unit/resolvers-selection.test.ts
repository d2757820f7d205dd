import { buildSchema, type GraphQLResolveInfo, graphql } from 'graphql'
import { expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import { columnsOf, selected, selectedNodes } from '../../src/resolvers/selection.ts'
import lab from '../support/kinds/lab.ts'

const schema = buildSchema(`
  type Query { readings: Connection }
  type Connection { nodes: [Reading!]! edges: [Edge!]! totalCount: Int! }
  type Edge { node: Reading! cursor: String! }
  type Reading { sampleId: String amount: String signal: Float sample: Sample protocol: Protocol }
  type Sample { sampleId: String origin: String }
  type Protocol { title: String }
`)

/** What `look` sees of the selection of `readings`. */
async function seen<T>(source: string, look: (info: GraphQLResolveInfo) => T, variableValues = {}): Promise<T> {
  let answer: { value: T } | undefined
  const rootValue = {
    readings: (_: unknown, __: unknown, info: GraphQLResolveInfo) => {
      answer = { value: look(info) }
      return null
    },
  }
  const { errors } = await graphql({ schema, source, rootValue, variableValues })
  if (!answer) throw errors?.[0] ?? new Error('the field was not resolved')
  return answer.value
}
const nodesOf = (source: string, variables = {}) =>
  seen(source, info => [...selectedNodes(info).keys()].sort(), variables)

test('nodes and edges together, through aliases and fragments', async () => {
  expect(
    await nodesOf(`
      { readings { ...Page edges { node { also: amount __typename } } } }
      fragment Page on Connection { nodes { ...Row ... on Reading { s: signal } } totalCount }
      fragment Row on Reading { sampleId sample { origin } }
    `),
  ).toEqual(['__typename', 'amount', 'sample', 'sampleId', 'signal'])
})

test('one field selected twice is one field with the selections of both', async () => {
  const columns = await seen('{ readings { nodes { sample { origin } } nodes { sample { sampleId } } } }', info => [
    ...selected(info, ['nodes', 'sample']).keys(),
  ])
  expect(columns.sort()).toEqual(['origin', 'sampleId'])
})

test('what is skipped or not included is not selected', async () => {
  const source = `query ($no: Boolean!, $yes: Boolean!) { readings {
    nodes { amount @skip(if: $yes) signal @include(if: $no) sampleId @include(if: $yes) ... @include(if: $no) { protocol { title } } }
    edges @skip(if: $yes) { node { sample { origin } } }
    ...Rest @include(if: $no)
  } }
  fragment Rest on Connection { totalCount }`
  expect(await nodesOf(source, { no: false, yes: true })).toEqual(['sampleId'])
  expect(await seen(source, info => [...selected(info).keys()], { no: false, yes: true })).toEqual(['nodes'])
})

test('fragments that spread others many times over cost no more than their size', async () => {
  const levels = Array.from(
    { length: 60 },
    (_, level) => `fragment F${level} on Reading { ...F${level + 1} ...F${level + 1} }`,
  )
  expect(
    await nodesOf(`{ readings { nodes { ...F0 } } } ${levels.join(' ')} fragment F60 on Reading { amount }`),
  ).toEqual(['amount'])
})

test('the columns of a row are those selected and those that its references go by', async () => {
  const table = checkKind(lab).tables.get('readings')
  if (!table) throw new Error('the lab has no readings')
  const of = (source: string) => seen(source, info => columnsOf(table, selectedNodes(info)))
  expect(await of('{ readings { nodes { amount protocol { title } } } }')).toEqual(['assay', 'revision', 'amount'])
  expect(await of('{ readings { totalCount } }')).toEqual([])
})
