import { type ExecutionResult, executeSubscriptionEvent, type ValidatedSubscriptionArgs } from 'graphql'
import { span } from '../platform/telemetry/index.ts'

/**
 * Executes one event of a subscription. Where it tells of intents, that is the last span of the trace that began with the
 * mutation: of the last intent's, and linked to those of the others.
 */
export async function deliver(event: ValidatedSubscriptionArgs): Promise<ExecutionResult> {
  const links = tracesOf(event.rootValue)
  const parent = links.pop()
  return parent === undefined
    ? executeSubscriptionEvent(event)
    : span('deliver', { parent, links }, () => executeSubscriptionEvent(event))
}

/** The traceparents of the intents that an event tells of: itself, or the nodes of its edges. */
function tracesOf(event: unknown): string[] {
  const { edges, traceparent } = (event ?? {}) as { edges?: { node: unknown }[]; traceparent?: unknown }
  if (typeof traceparent === 'string') return [traceparent]
  return Array.isArray(edges) ? edges.flatMap(({ node }) => tracesOf(node)) : []
}
