import { TeatreeError } from '../platform/errors.ts'
import { type Attributes, metrics, type SpanSettings, span } from '../platform/telemetry/index.ts'

/** Runs a query in a span of its own, and tells the metrics how long it took and what came of it. */
export async function measured<T>(
  how: 'sql' | 'run',
  attributes: Attributes,
  query: () => Promise<T>,
  settings: Pick<SpanSettings, 'parent'> = {},
): Promise<T> {
  const began = performance.now()
  let outcome = 'DONE'
  try {
    return await span(`query ${how}`, { ...settings, attributes }, query)
  } catch (error) {
    outcome = error instanceof TeatreeError ? error.code : isAbort(error) ? 'ABORTED' : 'INTERNAL'
    throw error
  } finally {
    metrics.queryDuration.record((performance.now() - began) / 1000, { how, outcome })
  }
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError'
