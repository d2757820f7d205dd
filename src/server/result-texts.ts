const texts = new WeakMap<object, string>()
const bytes = new WeakMap<object, Buffer>()

/** The result as JSON: made once, however many are sent it. */
export function textOf(result: object): string {
  const text = texts.get(result) ?? JSON.stringify(result)
  texts.set(result, text)
  return text
}

/**
 * The message that tells an operation's client of a result: a beginning of its own, and an end that all who are sent the result have in common.
 *
 *   {"id":"1","type":"next","payload":  {"data":…}}
 */
export const nextMessage = (id: string): string => `{"id":${JSON.stringify(id)},"type":"next","payload":`

/** Made once, however many are sent it. */
export function endOf(result: object): Buffer {
  const end = bytes.get(result) ?? Buffer.from(`${JSON.stringify(result)}}`)
  bytes.set(result, end)
  return end
}
