const texts = new WeakMap<object, string>()

/** The result as JSON: made once, however many are sent it. */
export function textOf(result: object): string {
  const text = texts.get(result) ?? JSON.stringify(result)
  texts.set(result, text)
  return text
}

/** What stands for a result in the text of a message. */
const STAND_IN = 0

/**
 * The messages of a WebSocket, each of which graphql-ws makes the text of: it is given something that stands for the result,
 * in whose place the text is put that all have in common. Between a message's text and its sending nothing else is made.
 *
 *   {"id":"1","type":"next","payload":0}  ─▶  {"id":"1","type":"next","payload":{"data":…}}
 */
export class MessageTexts {
  #payload: string | null = null

  standInFor(result: object): { data?: never; toJSON(): unknown } {
    return {
      toJSON: () => {
        this.#payload = textOf(result)
        return STAND_IN
      },
    }
  }

  whole(message: string): string {
    const payload = this.#payload
    this.#payload = null
    return payload === null ? message : `${message.slice(0, -`${STAND_IN}}`.length)}${payload}}`
  }
}
