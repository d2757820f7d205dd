import { buildSchema, type GraphQLResolveInfo, graphql } from 'graphql'
import { expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import { columnsOf, fieldsOf, selected, selectedNodes } from '../../src/resolvers/selection.ts'
import lab from '../support/kinds/lab.ts'

const schema = buildSchema(`
  type Query { readings: Connection }
  type Connection { nodes: [Reading!]! edges: [Edge!]! totalCount: Int! }
  type Edge { node: Reading! cursor: String! }
  type Reading { sampleId: String amount: String signal: Float sample: Sample protocol: Protocol }
  type Sample { sampleId: String origin: String sample: Sample }
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

test('a field is there as often as it will be in the answer', async () => {
  const often = (source: string, ...path: string[]) =>
    seen(source, info => {
      const counts = [...selectedNodes(info, ...path)].map(([name, fields]) => [name, fields.length])
      return Object.fromEntries(counts)
    })
  const row = 'fragment Row on Reading { amount sample { origin } }'
  expect(
    await often(`{ readings { a: nodes { ...Row } b: nodes { ...Row amount } edges { node { ...Row } } } } ${row}`),
  ).toEqual({ amount: 3, sample: 3 })
  // What goes by the same name is one.
  expect(
    await often(
      `{ readings { nodes { ...Row } nodes { ...Row amount s: amount } } readings { nodes { amount } } } ${row}`,
    ),
  ).toEqual({ amount: 2, sample: 1 })
  const twice = `{ readings { nodes { a: sample { ...Of } b: sample { ...Of origin } a: sample { origin } } } }`
  expect(await often(`${twice} fragment Of on Sample { origin }`, 'sample')).toEqual({ origin: 2 })
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
  // A field of the same name is one, however often it is written down.
  const samples = Array.from({ length: 15 }, (_, level) => {
    const next = `sample { ...S${level + 1} } `.repeat(50)
    return `fragment S${level} on Sample { ${next} }`
  })
  const count = await seen(
    `{ readings { nodes { sample { ...S0 } } } } ${samples.join(' ')} fragment S15 on Sample { origin }`,
    info => {
      let fields = selectedNodes(info).get('sample') ?? []
      for (let level = 0; level < 15; level++) fields = fieldsOf(info, fields).get('sample') ?? []
      return fieldsOf(info, fields).get('origin')?.length
    },
  )
  expect(count).toBe(1)
})

test('the columns of a row are those selected and those that its references go by', async () => {
  const table = checkKind(lab).tables.get('readings')
  if (!table) throw new Error('the lab has no readings')
  const of = (source: string) => seen(source, info => columnsOf(table, selectedNodes(info)))
  expect(await of('{ readings { nodes { amount protocol { title } } } }')).toEqual(['assay', 'revision', 'amount'])
  expect(await of('{ readings { totalCount } }')).toEqual([])
})
