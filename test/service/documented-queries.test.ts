import { readFile } from 'node:fs/promises'
import { type OperationDefinitionNode, parse, print } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readyQueries } from '../../src/server/ready-queries.ts'
import { anyEngine } from '../support/any-engine.ts'
import { startPlatform, type TestPlatform } from '../support/platform.ts'
import { createModel } from '../support/sales-model.ts'

let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(() => platform[Symbol.asyncDispose]())

/** What the operation, or the first value of the subscription, answers with; an error of the answer is thrown. */
async function run(operation: OperationDefinitionNode): Promise<unknown> {
  const text = print(operation)
  if (operation.operation === 'query') return platform.graphql(text)
  if (operation.operation === 'mutation') {
    const answer = await platform.graphql(text)
    await ended()
    return answer
  }
  for await (const value of platform.subscribe(text)) return value
  throw new Error('the subscription told nothing')
}

/** On a busy machine an intent may take longer than the document waits for it. What became of all of them, by function. */
async function ended(): Promise<Record<string, unknown>> {
  const { intents } = await platform.graphql('{ intents(first: 100) { nodes { id function } } }')
  const outcomes: Record<string, unknown> = {}
  for (const { id, function: name } of intents.nodes) {
    const text = `{ intent(id: "${id}", waitMs: 60000) { status outcome { ... on RowsWritten { inserted } ... on GoalsComputed { cells total } } } }`
    outcomes[name] = (await platform.graphql(text)).intent
  }
  return outcomes
}

const operationsOf = (text: string): OperationDefinitionNode[] =>
  parse(text).definitions.filter(definition => definition.kind === 'OperationDefinition')

test('what the README shows can be run as it stands there, one after the other', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const operations = [...readme.matchAll(/```graphql\n([\s\S]*?)```/g)].flatMap(([, text]) => operationsOf(text ?? ''))
  expect(operations.length).toBeGreaterThan(5)
  for (const operation of operations) await run(operation)
  expect(await ended()).toMatchObject({
    appendSales: { status: 'PUBLISHED', outcome: { inserted: '1' } },
    computeGoals: { status: 'PUBLISHED', outcome: { cells: '4', total: '40000000.00' } },
  })
})

test('the ready queries run as they are, on the models of the demo', async () => {
  const engine = anyEngine()
  const sales = await createModel(platform, { id: 'demo-sales', kind: 'sales', engine })
  await createModel(platform, { id: 'demo-goals', kind: 'goals', engine, reads: [sales] })
  const answers: Record<string, unknown> = {}
  for (const query of await readyQueries())
    for (const operation of operationsOf(query)) answers[operation.name?.value ?? ''] = await run(operation)
  expect(answers).toMatchObject({
    AppendSales: { appendSales: { error: null } },
    Files: {
      model: { snapshot: { tables: expect.arrayContaining([expect.objectContaining({ name: 'sales', rows: '1' })]) } },
    },
    MovedGoals: { goalsModel: { snapshot: { goalsDiff: { nodes: [] } } } },
  })
})
