import { expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { openManaged } from '../support/managed.ts'
import { type Exchange, type Rule, startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { trialsOn } from '../support/trials.ts'

/** What only the transaction that publishes a version says to the database: at first with its name, then by that alone. */
const PUBLISHES = /([0-9a-f]{32})\0[^\0]*SET version = version \+/

/** Cuts connections whose COMMIT publishes a version: before the database gets it, or as it answers. */
function cutting(at: 'request' | 'answer') {
  const publishing = new Set<Exchange>()
  const committing = new Set<Exchange>()
  const state = { left: 0 }
  let statement: string | undefined
  const rule: Rule = (side, chunk, exchange) => {
    if (side === 'up') statement ??= PUBLISHES.exec(chunk.toString('latin1'))?.[1]
    if (side === 'up' && statement !== undefined && chunk.includes(statement)) publishing.add(exchange)
    if (side === 'up' && chunk.includes('COMMIT') && publishing.delete(exchange) && state.left > 0) {
      state.left--
      if (at === 'request') return 'cut'
      committing.add(exchange)
    }
    return side === 'down' && committing.delete(exchange) ? 'cut' : 'pass'
  }
  return { rule, state }
}

for (const [what, at] of [
  ['was committed and nobody was told', 'answer'],
  ['was to be committed and the database never heard it', 'request'],
] as const)
  test(`a version that ${what} is there exactly once, and the line goes on`, async () => {
    const { rule, state } = cutting(at)
    await using stack = new AsyncDisposableStack()
    const through = async (direct: string) => {
      const proxy: TcpProxy = stack.use(await startTcpProxy(direct, rule))
      const url = new URL(direct)
      url.host = new URL(proxy.url).host
      return url.href
    }
    const managed = stack.use(await openManaged({ kindsDir: TRIAL_KINDS, through }))
    const { append, entries, newModel } = trialsOn(managed)
    const model = await newModel()
    await managed.startManager().hold(model)
    for (const entry of ['A', 'B', 'C']) {
      state.left = 1
      const intent = await append(model, entry)
      expect(await managed.ended(intent.id)).toMatchObject({
        status: 'PUBLISHED',
        version: Number(intent.seq),
        attempts: 1,
      })
      expect(state.left).toBe(0)
    }
    expect(await entries(model)).toEqual(['A', 'B', 'C'])
    const versions = await managed.db.query('SELECT version FROM model_version WHERE model = $1 ORDER BY version', [
      model,
    ])
    expect(versions.map(({ version }) => version)).toEqual([0, 1, 2, 3])
    const page = await managed.completions.read(model, 0n, 100)
    expect(page?.completions.map(({ position, intent }) => [position, intent?.seq])).toEqual([
      [1n, 1n],
      [2n, 2n],
      [3n, 3n],
    ])
    expect(await managed.models.get(model)).toMatchObject({ version: 3, lastSeq: 3n, epoch: 1, blocked: null })
  })
