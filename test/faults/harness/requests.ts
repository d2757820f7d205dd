import type { Answer } from '../../support/platform.ts'

/** Longer than a server takes that is not frozen. */
const ANSWER_MS = 8000

/** An operation's answer; `code` where there is an error, of which `isUnknown` says that nobody knows what came of it. */
export interface Asked {
  data: Answer
  code: string | null
  message: string
  isUnknown: boolean
}

/** Asks a server once, and says what is known of it then. Never throws. */
export async function ask(url: string, query: string, variables: object, ms = ANSWER_MS): Promise<Asked> {
  const lost = (message: string): Asked => ({ data: null, code: 'LOST', message, isUnknown: true })
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(ms),
    })
    const { data, errors } = (await response.json()) as { data?: Answer; errors?: Answer[] }
    const [error] = errors ?? []
    if (!error) return { data, code: null, message: '', isUnknown: false }
    const { code = 'GRAPHQL', details } = error.extensions ?? {}
    // Nothing was taken on, says UNAVAILABLE, unless it says that it does not know.
    const isUnknown = code === 'INTERNAL' || details?.outcome === 'unknown'
    return { data, code, message: error.message, isUnknown }
  } catch (error) {
    return lost(error instanceof Error ? error.message : String(error))
  }
}

/** The id of an upload; null where it did not come about. */
export async function uploadCsv(url: string, text: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/uploads`, {
      method: 'POST',
      body: text,
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    const { id } = (await response.json()) as Answer
    return id ?? null
  } catch {
    return null
  }
}
