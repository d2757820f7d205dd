/**
 * The one table of error codes. Whatever leaves the platform as an error, over GraphQL, HTTP, on a failed intent or
 * on the command line, has a code from here or from the kind whose function refused. `docs/errors.md` is printed from it.
 */
export const ERRORS = {
  NOT_FOUND: {
    status: 404,
    when: 'An argument names a model, intent, query or upload that is not there, or not yours to see.',
  },
  BAD_MODEL_ID: {
    status: 400,
    when: 'A model id is not 1 to 63 lower-case letters, digits and hyphens, a letter first.',
  },
  NAME_TAKEN: { status: 409, when: 'The model id was given before; ids are never given twice.' },
  UNKNOWN_KIND: { status: 400, when: 'No kind of that name is known to this server.' },
  ENGINE_NOT_SUPPORTED: { status: 400, when: 'The kind has no implementation for that engine.' },
  BAD_VALUE: {
    status: 400,
    when: 'An argument or cell cannot be what it should be (cells name row, line and column), or a request cannot be understood.',
  },
  BAD_CURSOR: { status: 400, when: 'A cursor is not one of ours, or is of another field or order.' },
  PAGE_SIZE_OUT_OF_RANGE: { status: 400, when: '`first` or `last` is outside 1 to 1000.' },
  SNAPSHOT_NOT_YET: { status: 409, when: 'The version asked for was not published within the wait.' },
  SNAPSHOT_GONE: { status: 410, when: 'The version asked for is no longer kept.' },
  IDEMPOTENCY_CONFLICT: {
    status: 409,
    when: 'The idempotency key was used before with another function or other arguments.',
  },
  INTENT_STARTED: { status: 409, when: 'The intent is no longer QUEUED and cannot be cancelled.' },
  WRONG_FORMAT: {
    status: 415,
    when: 'The bytes, or what a table is asked for as, are neither Parquet, Arrow, CSV nor NDJSON.',
  },
  BAD_FILE: { status: 422, when: 'The file begins as its format says and cannot be read to its end.' },
  FILE_TOO_LARGE: { status: 413, when: 'The upload is larger than the server takes.' },
  UPLOAD_INCOMPLETE: { status: 400, when: 'Fewer or more bytes arrived than Content-Length announced.' },
  CHECKSUM_MISMATCH: { status: 400, when: 'The bytes that arrived do not have the announced checksum.' },
  UPLOAD_NOT_FOUND: { status: 404, when: 'No upload of that id is kept.' },
  KEY_CONFLICT: { status: 409, when: 'An append of a key that is there already, or twice in one append.' },
  MODEL_IN_USE: { status: 409, when: 'Another model reads this model, so it cannot be deleted.' },
  KIND_CHANGED: {
    status: 409,
    when: 'The kind changed in a way that the model cannot take up; details say what differs.',
  },
  FUNCTION_TIMEOUT: { status: 408, when: 'The function was not done within its time limit.' },
  STATEMENT_NOT_ALLOWED: { status: 400, when: 'The statement is not exactly one SELECT.' },
  ACCESS_DENIED: { status: 403, when: 'The statement reaches for something outside the snapshot.' },
  QUERY_TIMEOUT: { status: 408, when: 'The query was not done within its time limit.' },
  QUERY_TOO_EXPENSIVE: { status: 400, when: 'The query needs more memory than it may have.' },
  RESULT_TOO_LARGE: {
    status: 400,
    when: 'The result, or all that an operation would be answered, is larger than may be returned; page it or start it as a query run.',
  },
  RESULT_GONE: {
    status: 410,
    when: 'The result of a statement, or of a query run, is no longer kept; ask for it anew.',
  },
  BAD_LINK: { status: 403, when: 'A link to a file is not one that a field `url` gave, as it gave it.' },
  LINK_EXPIRED: {
    status: 410,
    when: 'A link to a file is good for 15 minutes, which are over; ask for its `url` again.',
  },
  UNAUTHENTICATED: { status: 401, when: 'The request does not say who you are.' },
  FORBIDDEN: { status: 403, when: 'You may not do that.' },
  QUERY_TOO_DEEP: { status: 400, when: 'The GraphQL document nests deeper than the limit.' },
  QUERY_TOO_COSTLY: { status: 400, when: 'The GraphQL document asks for more than the limit.' },
  TOO_MANY_ALIASES: { status: 400, when: 'The GraphQL document has more aliases than the limit.' },
  QUERY_TOO_LARGE: { status: 413, when: 'The GraphQL document is longer than the limit.' },
  RATE_LIMITED: { status: 429, when: 'More requests than the limit; try again later.' },
  UNAVAILABLE: {
    status: 503,
    when: 'The control database or the store is away, a version is being made again, too many reads, queries or downloads wait, or the server is offline and only reads. Nothing was taken on; try again.',
  },
  INTERNAL: { status: 500, when: 'A fault of the server; the id in the message is in its log too.' },
} as const satisfies Record<string, { status: number; when: string }>

export type PlatformErrorCode = keyof typeof ERRORS

/** One cell at fault. `row` counts from 1 in the rows or the file, `line` is the file's. */
export interface CellError {
  row?: number
  line?: number
  column?: string
  message: string
}

/** How many cells at fault an error names. */
export const MAX_CELLS = 100

/**
 * The one error that may be shown to a client: its message says what was wrong and what would be right, and holds no
 * stack, server path or SQL. `code` is from ERRORS, or declared by the kind whose function threw it.
 */
export class TeatreeError extends Error {
  override readonly name = 'TeatreeError'
  readonly code: string
  readonly cells: readonly CellError[]
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(
    code: PlatformErrorCode | (string & {}),
    message: string,
    more: { cells?: readonly CellError[]; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.cells = (more.cells ?? []).slice(0, MAX_CELLS)
    this.details = more.details
  }

  /** The HTTP status of the code; a kind's own codes are refusals of well-formed requests, hence 422. */
  get status(): number {
    return this.code in ERRORS ? ERRORS[this.code as PlatformErrorCode].status : 422
  }
}

/** Whether it failed for its surroundings, and may succeed when it is asked for again. */
export const isUnavailable = (error: unknown): boolean => error instanceof TeatreeError && error.code === 'UNAVAILABLE'

/** Errors that stop the start or a client command: one line on standard error, exit code 1, no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
