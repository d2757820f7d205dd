import type { Edge, Page, PageArguments, PageContent } from '../../schema/shapes.ts'
import { TeatreeError } from '../platform/errors.ts'

const DEFAULT_PAGE = 50
const MAX_PAGE = 1000

/** The page that somebody asks for. */
export interface PageRequest {
  /** How many. */
  size: number
  /** From the end. */
  last: boolean
  after: string | null
  before: string | null
}

/** @throws TeatreeError PAGE_SIZE_OUT_OF_RANGE; BAD_VALUE where first and last are both given */
export function pageRequest({ first, after, last, before }: PageArguments): PageRequest {
  if (first != null && last != null)
    throw new TeatreeError('BAD_VALUE', 'first and last are both given; give one of them.')
  return {
    size: pageSize(first != null ? 'first' : 'last', first ?? last ?? DEFAULT_PAGE),
    last: last != null,
    after: after ?? null,
    before: before ?? null,
  }
}

/** @throws TeatreeError PAGE_SIZE_OUT_OF_RANGE */
export function pageSize(name: string, size: number): number {
  if (size >= 1 && size <= MAX_PAGE) return size
  throw new TeatreeError('PAGE_SIZE_OUT_OF_RANGE', `${name}: ${size} is outside 1 to ${MAX_PAGE}.`)
}

/**
 * The page, read once and not before it is asked for. `read` gives up to `limit` edges, which are one more than the
 * page has room for, so that it shows whether there is more.
 */
export function pageOf<T>(
  request: PageRequest,
  source: {
    read(limit: number): Promise<readonly Edge<T>[]>
    count?(): Promise<number | bigint>
    /** Told of a page behind which there is another: somebody may go on from it. */
    goesOn?(): void
  },
): Page<T> {
  const read = once(async (): Promise<PageContent<T>> => {
    const edges = await source.read(request.size + 1)
    const more = edges.length > request.size
    // Behind a cursor there is what it names: it was on another page.
    const [hasPreviousPage, hasNextPage] = request.last
      ? [more || request.after !== null, request.before !== null]
      : [request.after !== null, more || request.before !== null]
    if (more || hasNextPage) source.goesOn?.()
    const page = request.last ? edges.slice(-request.size) : edges.slice(0, request.size)
    return { edges: page, hasNextPage, hasPreviousPage }
  })
  return { read, totalCount: once(async () => (await source.count?.()) ?? 0) }
}

/** Does it when it is first asked, and gives the same answer from then on. */
export function once<T>(fn: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | null = null
  return () => {
    answer ??= fn()
    return answer
  }
}
