import { TeatreeError } from '../platform/errors.ts'
import type { Signatures } from '../platform/signatures.ts'

/** What lies below /content: a file of a version, or of `results`. */
export interface ContentPath {
  model: string
  version: number | string
  file: string
}

/** What stands for the version where the results of query runs are. */
export const RESULTS = 'results'
/** Long enough for a download to begin; one that breaks off later asks for another link. */
export const LINK_SECONDS = 15 * 60
/** Who asks for a link again within this is given the same: his answer is the one that he has. */
const STEP_SECONDS = 60

/**
 * Links to what is below /content, for a browser, which sends no header with them: they say themselves until when they
 * are good, and that a server of this platform made them. What they lead to may be narrowed by further parameters.
 */
export class Links {
  readonly #signatures: Signatures
  readonly #publicUrl: () => string
  readonly #now: () => number

  /**
   * @param publicUrl where clients reach the server: "http://127.0.0.1:4000"
   * @param now milliseconds since 1970
   */
  constructor(deps: { signatures: Signatures; publicUrl: () => string; now?: () => number }) {
    this.#signatures = deps.signatures
    this.#publicUrl = deps.publicUrl
    this.#now = deps.now ?? Date.now
  }

  /** Good for LINK_SECONDS, or up to a minute more. */
  to({ model, version, file }: ContentPath): string {
    const expires = String(Math.ceil(this.#now() / 1000 / STEP_SECONDS) * STEP_SECONDS + LINK_SECONDS)
    const signature = this.#signatures.sign(PURPOSE, signed({ model, version, file }, expires)).toString('base64url')
    return `${this.#publicUrl()}/content/${model}/${version}/${file}?expires=${expires}&signature=${signature}`
  }

  /** Lets through what is no such link, and one that is good. BAD_LINK, LINK_EXPIRED. */
  check(path: ContentPath, query: URLSearchParams): void {
    const [expires, signature] = [query.get('expires'), query.get('signature')]
    if (expires === null && signature === null) return
    const bytes = Buffer.from(signature ?? '', 'base64url')
    if (!expires || !/^\d{1,12}$/.test(expires) || !this.#signatures.holds(bytes, PURPOSE, signed(path, expires)))
      throw new TeatreeError('BAD_LINK', 'The link is not one of ours as it is; use it as the field `url` gave it.')
    if (Number(expires) * 1000 <= this.#now())
      throw new TeatreeError('LINK_EXPIRED', 'The link was good for a while, which is over; ask for it again.')
  }
}

const PURPOSE = 'link'
const signed = ({ model, version, file }: ContentPath, expires: string): string =>
  JSON.stringify([model, String(version), file, expires])
