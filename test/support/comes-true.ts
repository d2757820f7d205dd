import { setTimeout as wait } from 'node:timers/promises'

const POLL_MS = 20

/** Waits until `look` answers true, for at most `ms`; says whether it did. For what no notice tells of. */
export async function comesTrue(look: () => Promise<boolean>, ms = 90_000): Promise<boolean> {
  for (const end = performance.now() + ms; !(await look()); await wait(POLL_MS))
    if (performance.now() > end) return false
  return true
}
