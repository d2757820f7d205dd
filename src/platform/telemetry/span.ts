import { randomBytes } from 'node:crypto'
import {
  type Attributes,
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'

export interface SpanSettings {
  attributes?: Attributes
  /** A W3C traceparent, as carried by a ledger row or header. Left out: the span under way. Null or malformed: a new trace. */
  parent?: string | null
  /** Traceparents of further traces that it works for, such as those of the other intents of a batch. */
  links?: readonly string[]
  kind?: SpanKind
  /** For what began before it could be told, such as the wait in the line. A Date, because OpenTelemetry reads small
   * numbers as milliseconds since the process started. */
  startTime?: Date
}

/** What every span is where nothing traces: it takes attributes and events and keeps none. */
const NO_SPAN = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)

let tracer: Tracer | undefined

/** Has spans recorded by `by`, or by nothing. */
export function traceWith(by?: Tracer): void {
  tracer = by
}

/**
 * Runs `fn` in a span, which is the current one for all that `fn` awaits, and ends it. What `fn` throws is recorded,
 * marks the span as failed and is thrown on. Where nothing traces, `fn` is merely called.
 */
export async function span<T>(name: string, settings: SpanSettings, fn: (span: Span) => Promise<T> | T): Promise<T> {
  if (!tracer) return fn(NO_SPAN)
  const { parent, links = [], ...rest } = settings
  const around = contextOf(parent)
  const started = tracer.startSpan(name, { ...rest, links: links.flatMap(linkTo) }, around)
  try {
    return await context.with(trace.setSpan(around, started), () => fn(started))
  } catch (error) {
    started.recordException(error instanceof Error ? error : String(error))
    started.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) })
    throw error
  } finally {
    started.end()
  }
}

/**
 * The W3C traceparent of the current span, to be carried to whatever goes on with it elsewhere; undefined outside of
 * any, and where nothing traces. A span that was not sampled has one too (flags 00), so that those who go on with it
 * leave it out as well.
 */
export function traceparent(): string | undefined {
  const current = trace.getSpanContext(context.active())
  if (!current || !isSpanContextValid(current)) return undefined
  const flags = (current.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')
  return `00-${current.traceId}-${current.spanId}-${flags}`
}

/** A random traceparent (flags 00: recorded nowhere), for an intent that has to have a trace id while nothing traces. */
export function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`
}

/** A traceparent that came from outside: itself where it is valid, else undefined. */
export function readTraceparent(header: string | undefined): string | undefined {
  return header !== undefined && parse(header) ? header : undefined
}

/** The trace id, 32 hexadecimal digits, of a valid traceparent. */
export function traceIdOf(traceparent: string): string {
  const parsed = parse(traceparent)
  if (!parsed) throw new TypeError(`not a W3C traceparent: ${JSON.stringify(traceparent)}`)
  return parsed.traceId
}

function linkTo(traceparent: string): Link[] {
  const context = parse(traceparent)
  return context ? [{ context }] : []
}

function contextOf(parent: string | null | undefined): Context {
  if (parent === undefined) return context.active()
  const parsed = parent === null ? undefined : parse(parent)
  const outside = trace.deleteSpan(context.active())
  return parsed ? trace.setSpanContext(outside, parsed) : outside
}

const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** By W3C Trace Context: version ff and ids of zeros are invalid; later versions may have more behind the flags. */
function parse(traceparent: string): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  const parsed = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true }
  return isSpanContextValid(parsed) ? parsed : undefined
}
