import { UsageError } from '../platform/errors.ts'

/** The text of an answer, which may have so many bytes: a server can be anybody's. */
export async function boundedText(
  response: Response,
  most: number,
  onBytes: (bytes: number) => void = () => {},
): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    onBytes(chunk.length)
    if (bytes > most) throw new UsageError(`the server's answer is longer than ${most} bytes; is it a Teatree server?`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
