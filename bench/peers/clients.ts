/** How long each request took, in milliseconds, of so many clients that ask again as soon as they are answered. */
export async function askAtOnce(
  of: { clients: number; seconds: number; from: number },
  ask: (n: number) => Promise<void>,
): Promise<{ times: number[]; seconds: number }> {
  const times: number[] = []
  const began = performance.now()
  const end = began + of.seconds * 1000
  let n = of.from
  const client = async () => {
    while (performance.now() < end) {
      const asked = performance.now()
      await ask(n++)
      times.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: of.clients }, client))
  return { times, seconds: (performance.now() - began) / 1000 }
}
