import { type ClientDeps, Submission } from './client.ts'
import type { Deployment } from './deployment.ts'
import type { ModelOf, Operation } from './history.ts'
import { pick, type Random } from './operations.ts'
import { ask } from './requests.ts'

/** Sales on both engines, and goals of each, on either. */
export function modelsOf(random: Random): ModelOf[] {
  const engine = () => pick(random, ['DUCKDB', 'ARROW'] as const)
  return [
    { id: 'north', kind: 'sales', engine: 'DUCKDB', reads: null },
    { id: 'south', kind: 'sales', engine: 'ARROW', reads: null },
    { id: 'north-goals', kind: 'goals', engine: engine(), reads: 'north' },
    { id: 'south-goals', kind: 'goals', engine: engine(), reads: 'south' },
  ]
}

/** One of sales alone, to which everything happens, on either. */
export const modelAlone = (random: Random): ModelOf[] => [pick(random, modelsOf(random).slice(0, 2))]

export async function makeModels({ nodes }: Deployment, models: readonly ModelOf[]): Promise<void> {
  for (const { reads, ...model } of models) {
    const input = { ...model, ...(reads ? { reads: [reads] } : {}) }
    const { message, code } = await ask(
      `${nodes[0]?.url}`,
      'mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }',
      { input },
      30_000,
    )
    if (code !== null) throw new Error(`a model could not be made: ${message}`)
  }
}

/** An intent for each model behind all others: its writer sweeps what dead managers have left. */
export async function submitLast(deps: ClientDeps): Promise<void> {
  for (const [index, model] of deps.recorder.models.entries()) {
    const tag = `${deps.name}-${String(index).padStart(5, '0')}`
    await new Submission(deps, { model, tag, key: tag, operation: lastOperation(model, tag) }).untilAnswered()
  }
}

const lastOperation = (model: ModelOf, tag: string): Operation =>
  model.kind === 'sales'
    ? { is: 'upsert', table: 'sites', rows: [{ siteId: 'LAST', name: 'last', region: tag, country: null }] }
    : {
        is: 'computeGoals',
        input: {
          salesModel: `${model.reads}`,
          grain: ['SITE'],
          interval: 'YEAR',
          method: 'BASIS_AVERAGE',
          total: null,
        },
      }
