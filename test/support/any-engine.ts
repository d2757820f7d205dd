import type { EngineName } from '../../src/kinds/context.ts'

/**
 * The engine for the models of a suite that is to hold on every engine, where one run of it is enough for now: another each time.
 * TEATREE_TEST_ENGINE says which.
 */
export function anyEngine(): EngineName {
  const asked = process.env.TEATREE_TEST_ENGINE
  const engine = asked === 'DUCKDB' || asked === 'ARROW' ? asked : Math.random() < 0.5 ? 'DUCKDB' : 'ARROW'
  process.stdout.write(`this suite's models are on ${engine}\n`)
  return engine
}
