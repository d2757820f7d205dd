import { styleText } from 'node:util'
import { context, isSpanContextValid, trace } from '@opentelemetry/api'
import pino from 'pino'

/** Writes one line: a message, or what belongs to it (an error as `err`) and a message. */
export interface LogLine {
  (message: string): void
  (fields: Readonly<Record<string, unknown>>, message: string): void
}

export interface Log {
  debug: LogLine
  info: LogLine
  warn: LogLine
  error: LogLine
  /** The same log, with these fields on each of its lines. */
  child(fields: Readonly<Record<string, unknown>>): Log
}

/**
 * A log on standard error: JSON lines, or lines to be read where that is a terminal. Each line has the process's name
 * and the trace and span it was written in, and shows no secret. `level` is the least that is written (default info).
 */
export function createLog(options: { name: string; level?: 'debug' | 'info' | 'warn' | 'error' | 'silent' }): Log {
  return pino(
    {
      name: options.name,
      level: options.level ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: withoutClient },
      mixin: traceFields,
      hooks: { streamWrite: withoutSecrets },
    },
    process.stderr.isTTY ? { write: line => process.stderr.write(readable(line)) } : standardError(),
  )
}

/** An error of a lost PostgreSQL connection carries the whole client, which says nothing to a reader of the log. */
function withoutClient(error: Error): unknown {
  const shown = pino.stdSerializers.errWithCause(error) as unknown as Record<string, unknown>
  return typeof shown === 'object' && 'client' in shown ? { ...shown, client: undefined } : shown
}

/** Writes at once, so that the last line before a crash is there; where it cannot write, the line is lost and no more. */
function standardError(): pino.DestinationStream {
  return pino.destination({ dest: process.stderr.fd, sync: true }).on('error', () => undefined)
}

function traceFields(): Record<string, string> {
  const current = trace.getSpanContext(context.active())
  return current && isSpanContextValid(current) ? { trace_id: current.traceId, span_id: current.spanId } : {}
}

const NAME = String.raw`[\w.-]{0,40}(?:password|secret|token|authorization|cookie|api[_-]?key|access_?key)[\w.-]{0,40}`
const STRING = String.raw`"(?:[^"\\]|\\.)*"`

/**
 * Secrets by the name they go by, however deep in the line, and by their shape: the password of a URL, the signature of
 * a presigned one, a bearer token. The finished line is searched, as they also come within messages and stacks.
 */
const SECRETS: readonly [RegExp, string][] = [
  [new RegExp(String.raw`("${NAME}":)(?:${STRING}|\[(?:${STRING},?)*\])`, 'gi'), '$1"***"'],
  [new RegExp(String.raw`(\\"${NAME}\\":\s*\\")[^"\\]*`, 'gi'), '$1***'],
  [/(:\/\/[^\s:@/"]*:)[^\s/"]*@/g, '$1***@'],
  [/\b((?:X-Amz-(?:Signature|Security-Token|Credential)|(?:\w{0,20}_)?token|password|secret)=)[^&\s"\\]+/gi, '$1***'],
  [/\bBearer [\w.~+/=-]+/gi, 'Bearer ***'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, '***'],
]

/** The line with *** in the place of every secret. */
export function withoutSecrets(line: string): string {
  return SECRETS.reduce((text, [secret, shown]) => text.replace(secret, shown), line)
}

const COLOURS = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const

/** A JSON line as people read it: time of day, level, name, message, fields, and below it the stacks of its error. */
export function readable(line: string): string {
  const { time, level, name, msg, err, pid: _pid, hostname: _hostname, ...fields } = JSON.parse(line)
  const word = styleText(COLOURS[level as keyof typeof COLOURS] ?? 'red', String(level).toUpperCase().padEnd(5))
  const shown = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
  const more = Object.entries(fields).map(([key, value]) => ` ${styleText('gray', `${key}=${shown(value)}`)}`)
  return `${String(time).slice(11, 23)} ${word} [${name}] ${msg}${more.join('')}\n${stacks(err)}`
}

function stacks(err: unknown): string {
  if (err === undefined) return ''
  const { stack, message, cause } = err as { stack?: string; message?: string; cause?: unknown }
  return `${String(stack ?? message ?? err).replace(/^/gm, '    ')}\n${stacks(cause)}`
}
