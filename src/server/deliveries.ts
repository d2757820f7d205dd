import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  type GraphQLError,
  print,
  type ValidatedSubscriptionArgs,
  visit,
} from 'graphql'
import { type Joined, ResultCache } from '../engine/result-cache.ts'
import type { Services } from '../jobs/services.ts'
import { span } from '../platform/telemetry/index.ts'
import { createContext, type User } from '../resolvers/index.ts'

/** Answers that several subscribers may still ask for. */
const MAX_BYTES = 32 << 20
/** So long they ask: who comes back to a log later is told of labels, files and links as they are by then. */
const MAX_AGE_MS = 60_000
/** Between two tries of what could not be told. */
const AGAIN_MS = 500

/** An event of a subscription, executed: to be waited for, or no longer. */
export type Delivery = Joined<ExecutionResult>

/**
 * Executes the events of subscriptions, each in a context of its own. Events that hold the same are executed once for
 * all who ask the same of them, and may see the same: they get the same answer, the very same object.
 */
export class Deliveries {
  readonly #services: Services
  readonly #shown: (error: unknown) => GraphQLError
  readonly #answers = new ResultCache({ maxBytes: MAX_BYTES, maxAgeMs: MAX_AGE_MS, isKept: isWhole })

  #last: { event: unknown; asked: string; key: string } = { event: null, asked: '', key: '' }

  /** `shown` is what a client is shown of an error. */
  constructor(services: Services, shown: (error: unknown) => GraphQLError) {
    this.#services = services
    this.#shown = shown
  }

  /** Executes events of one subscription, as its source has them. */
  of(args: ExecutionArgs, validated: ValidatedSubscriptionArgs, user: User | null): (event: unknown) => Delivery {
    const asked = askedOf(args, validated, user)
    return event =>
      this.#answers.join(this.#keyOf(event, asked), signal =>
        this.#execute({ ...validated, rootValue: event }, signal, user),
      )
  }

  /** Those who are told of an event ask one after the other, mostly the same: it is not put together for each of them. */
  #keyOf(event: unknown, asked: string): string {
    const last = this.#last
    if (last.event === event && last.asked === asked) return last.key
    const { key } = partsOf(event)
    if (typeof key !== 'string') throw new Error('an event of a subscription does not say what it is known by')
    this.#last = { event, asked, key: `${key} ${asked}` }
    return this.#last.key
  }

  /** What cannot be told while the database is away, or files are made again, is told when it can: a log has no second telling. */
  async #execute(event: ValidatedSubscriptionArgs, signal: AbortSignal, user: User | null): Promise<ExecutionResult> {
    for (;;) {
      const result = await this.#tried(event, signal, user)
      if (!isUnavailable(result) || signal.aborted) return result
      await wait(AGAIN_MS, undefined, { signal }).catch(() => {})
    }
  }

  async #tried(event: ValidatedSubscriptionArgs, signal: AbortSignal, user: User | null): Promise<ExecutionResult> {
    const contextValue = createContext(this.#services, { signal, user })
    try {
      const executed = await traced(event.rootValue, () => executeSubscriptionEvent({ ...event, contextValue }))
      const result = executed.errors ? { ...executed, errors: executed.errors.map(this.#shown) } : executed
      const { cursor } = partsOf(event.rootValue)
      if (typeof cursor === 'string') ids.set(result, cursor)
      return result
    } finally {
      contextValue.release()
    }
  }
}

/**
 * What is asked of each event, hashed: the document and those of its variables that are used below the subscribed field.
 * Those of its own arguments only say which events there are: a cursor to go on from, above all.
 */
function askedOf(
  { document, operationName, variableValues }: ExecutionArgs,
  { operation }: ValidatedSubscriptionArgs,
  user: User | null,
): string {
  const used = new Set<string>()
  visit(document, {
    VariableDefinition: () => false,
    Field: node => (operation.selectionSet.selections.includes(node) ? { ...node, arguments: [] } : undefined),
    Variable: node => {
      used.add(node.name.value)
    },
  })
  const variables = Object.entries(variableValues ?? {}).filter(([name]) => used.has(name))
  const source = document.loc?.source.body ?? print(document)
  return hash('sha256', JSON.stringify([source, operationName, variables, user]), 'base64url')
}

/**
 * Where an event tells of intents, its execution is the last span of the trace that began with the mutation: of the last
 * intent's, and linked to those of the others.
 */
function traced(event: unknown, execute: () => Promise<ExecutionResult> | ExecutionResult): Promise<ExecutionResult> {
  const links = tracesOf(event)
  const parent = links.pop()
  return parent === undefined ? Promise.resolve(execute()) : span('deliver', { parent, links }, async () => execute())
}

/** What an event may have; see SharedEvent and CompletionEvent. */
const partsOf = (event: unknown): { key?: unknown; cursor?: unknown } => event ?? {}

/** What one could not be told may be there for the next who asks. */
const isWhole = ({ errors }: ExecutionResult): boolean => !errors

const isUnavailable = ({ errors }: ExecutionResult): boolean =>
  errors?.some(({ extensions }) => extensions.code === 'UNAVAILABLE') ?? false

const ids = new WeakMap<ExecutionResult, string>()

/** Behind which cursor the log goes on after the event that this is the answer of; undefined where there is no log. */
export const eventIdOf = (result: ExecutionResult): string | undefined => ids.get(result)

/** The traceparents of the intents that an event tells of: itself, or the nodes of its edges. */
function tracesOf(event: unknown): string[] {
  const { edges, traceparent } = (event ?? {}) as { edges?: { node: unknown }[]; traceparent?: unknown }
  if (typeof traceparent === 'string') return [traceparent]
  return Array.isArray(edges) ? edges.flatMap(({ node }) => tracesOf(node)) : []
}
