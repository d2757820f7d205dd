import type { TypedDocumentString } from './generated/graphql.js'

/** A document, with its variables where it has any that must be given. */
type Given<V> = Record<string, never> extends V ? [variables?: V] : [variables: V]

/** GraphQL over HTTP as a front end does it: data is of the document's type, and an error is thrown. */
export class Client {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  async ask<T, V>(document: TypedDocumentString<T, V>, ...[variables]: Given<V>): Promise<T> {
    const response = await this.#send(document, variables, 'application/graphql-response+json')
    const { data, errors } = (await response.json()) as { data?: T | null; errors?: { message: string }[] }
    if (errors || data === undefined || data === null) throw new Error(JSON.stringify(errors))
    return data
  }

  /** The first values of a subscription, by server-sent events. */
  async *follow<T, V>(document: TypedDocumentString<T, V>, ...[variables]: Given<V>): AsyncGenerator<T, void, void> {
    const response = await this.#send(document, variables, 'text/event-stream')
    if (!response.body) throw new Error('there is no stream')
    let text = ''
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
        text = text.slice(end + 2)
        if (data) yield (JSON.parse(data) as { data: T }).data
      }
    }
  }

  #send(document: { toString(): string }, variables: unknown, accept: string): Promise<Response> {
    return fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ query: document.toString(), variables: variables ?? {} }),
    })
  }
}
