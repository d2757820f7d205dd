import { type DocumentNode, GraphQLError, Kind, Lexer, type SelectionSetNode, Source, TokenKind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { ERRORS, type PlatformErrorCode } from '../platform/errors.ts'

/** Longer than any document that a person or a program composes: whoever comes here has put rows into it. */
const MAX_LENGTH = 1 << 20
const MAX_TOKENS = 20_000
/** Of brackets and of fragments: what reads or runs a document calls itself for each, and has only so much stack. */
const MAX_NESTING = 100
/** Of fields. The introspection that GraphiQL begins with has 15. */
const MAX_DEPTH = 20
/** Each can be a read of its own; those of a fragment count wherever it is spread. */
const MAX_ALIASES = 100

/** An operation that is about to run. */
interface Operation {
  args: { variableValues?: unknown }
  setResultAndStopExecution(result: { errors: readonly GraphQLError[] }): void
}

/** Refuses documents and variables that would keep the process from everything else, before they are parsed and before they run. */
export function useLimits(): Plugin {
  const checkVariables = ({ args, setResultAndStopExecution }: Operation) => {
    if (isDeeper(args.variableValues, MAX_NESTING))
      setResultAndStopExecution({
        errors: [
          new GraphQLError(`Variables may nest ${MAX_NESTING} deep.`, { extensions: { code: 'QUERY_TOO_DEEP' } }),
        ],
      })
  }
  return {
    onExecute: checkVariables,
    onSubscribe: checkVariables,
    onParse({ parseFn, setParseFn }) {
      setParseFn((source: string | Source, options: object) => {
        checkText(typeof source === 'string' ? new Source(source) : source)
        const document = parseFn(source, options)
        checkSelections(document)
        return document
      })
      return ({ result }) => {
        // Of what parsing failed with Yoga makes 200, as the standard has it for JSON; thrown here it keeps its status.
        if (result instanceof GraphQLError && result.extensions.code !== undefined) throw result
      }
    },
  }
}

/** Goes no further down than asked, for this calls itself, too. */
function isDeeper(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false
  return levels === 0 || Object.values(value).some(inner => isDeeper(inner, levels - 1))
}

/** Token by token, since whatever follows the nesting would overflow the stack with it. */
function checkText(source: Source): void {
  if (source.body.length > MAX_LENGTH)
    throw refused('QUERY_TOO_LARGE', `A document may have ${MAX_LENGTH} characters; give rows as variables.`)
  const lexer = new Lexer(source)
  let nesting = 0
  for (let tokens = 0; lexer.advance().kind !== TokenKind.EOF; tokens++) {
    if (tokens === MAX_TOKENS)
      throw refused('QUERY_TOO_LARGE', `A document may have ${MAX_TOKENS} tokens; give rows as variables.`)
    if (OPENING.has(lexer.token.kind)) nesting++
    else if (CLOSING.has(lexer.token.kind)) nesting--
    if (nesting > MAX_NESTING) throw tooNested()
  }
}

const OPENING: ReadonlySet<string> = new Set([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L])
const CLOSING: ReadonlySet<string> = new Set([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R])

/** `nesting` counts inline fragments and spreads too, `depth` fields alone. */
interface Extent {
  nesting: number
  depth: number
  aliases: number
}

const NOTHING: Extent = { nesting: 0, depth: 0, aliases: 0 }

function checkSelections({ definitions }: DocumentNode): void {
  const fragments = new Map(
    definitions.flatMap(definition =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition.selectionSet]] : [],
    ),
  )
  /** Each fragment is measured once; one that is being measured has none of itself, for cycles are refused elsewhere. */
  const measured = new Map<string, Extent>()

  function spread(name: string, level: number): Extent {
    const known = measured.get(name)
    if (known) return known
    measured.set(name, NOTHING)
    const extent = measure(fragments.get(name), level)
    measured.set(name, extent)
    return extent
  }

  /** Fragments that lead to fragments can be nested deeper than any text: at `level` that ends, before the stack does. */
  function measure(set: SelectionSetNode | undefined, level: number): Extent {
    if (level > MAX_NESTING) throw tooNested()
    const whole = { ...NOTHING }
    for (const selection of set?.selections ?? []) {
      const isField = selection.kind === Kind.FIELD
      const below =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? spread(selection.name.value, level + 1)
          : measure(selection.selectionSet, level + 1)
      whole.nesting = Math.max(whole.nesting, below.nesting + 1)
      whole.depth = Math.max(whole.depth, below.depth + (isField ? 1 : 0))
      whole.aliases += below.aliases + (isField && selection.alias ? 1 : 0)
    }
    return whole
  }

  // Fragments that nothing spreads are refused too late: what refuses them follows them first.
  for (const definition of definitions) {
    if (!('selectionSet' in definition)) continue
    const { nesting, depth, aliases } = measure(definition.selectionSet, 0)
    if (nesting > MAX_NESTING) throw tooNested()
    if (depth > MAX_DEPTH)
      throw refused('QUERY_TOO_DEEP', `Fields may be nested ${MAX_DEPTH} deep, and these are ${depth}.`)
    if (aliases > MAX_ALIASES)
      throw refused('TOO_MANY_ALIASES', `An operation may have ${MAX_ALIASES} aliases, with those of its fragments.`)
  }
}

const tooNested = () =>
  refused('QUERY_TOO_DEEP', `A document may nest ${MAX_NESTING} deep in brackets, or in fragments.`)

/** HTTP is told the status; for a WebSocket it is left out. */
const refused = (code: PlatformErrorCode, message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code, http: { status: ERRORS[code].status } } })
