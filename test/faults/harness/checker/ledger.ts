import type { Call, History, LedgerRow, Violation } from '../history.ts'
import type { Replayed } from './replay.ts'

const ENDED = new Set(['PUBLISHED', 'FAILED', 'CANCELLED', 'PARKED'])
/** One that is set aside has taken so many managers down. */
const DEATHS = 3

/** What was asked, in what order, and what became of it. (1, 2, 3, 11) */
export function checkLedger(history: History, replayed: ReadonlyMap<string, Replayed>): Violation[] {
  return history.models.flatMap(({ id }) => {
    const rows = history.end.ledger.filter(row => row.model === id).sort((a, b) => a.seq - b.seq)
    const calls = history.calls.filter(call => call.model === id)
    return [
      ...gaps(rows),
      ...acknowledged(calls, rows),
      ...order(calls),
      ...endings(rows),
      ...listing(history, rows),
      ...cancelled(history, rows),
      ...outcomes(rows, replayed.get(id)),
      ...versionsOf(history, id, rows),
    ]
  })
}

function gaps(rows: readonly LedgerRow[]): Violation[] {
  return rows
    .flatMap((row, index) =>
      row.seq === index + 1 ? [] : [{ invariant: 3, what: `seq ${index + 1} is not in the ledger`, shown: [row] }],
    )
    .slice(0, 1)
}

function acknowledged(calls: readonly Call[], rows: readonly LedgerRow[]): Violation[] {
  const byTag = Map.groupBy(rows, row => row.tag)
  const found: Violation[] = []
  for (const [tag, tries] of Map.groupBy(calls, call => call.tag)) {
    const intents = byTag.get(tag) ?? []
    const [intent] = intents
    const oks = tries.filter(({ outcome }) => outcome === 'ok')
    if (intents.length > 1)
      found.push({ invariant: 1, what: `${tag} is in the ledger ${intents.length} times`, shown: intents })
    if (oks.length > 0 && !intent)
      found.push({ invariant: 1, what: `${tag} was acknowledged and is not in the ledger`, shown: tries })
    if (intent && tries.every(({ outcome }) => outcome === 'refused'))
      found.push({ invariant: 1, what: `${tag} was refused and is in the ledger`, shown: [...tries, intent] })
    for (const call of oks)
      if (intent && (call.intent?.id !== intent.id || call.intent.seq !== intent.seq))
        found.push({ invariant: 1, what: `${tag} was acknowledged as another intent`, shown: [call, intent] })
  }
  for (const row of rows)
    if (row.tag !== null && !calls.some(({ tag }) => tag === row.tag))
      found.push({ invariant: 1, what: `seq ${row.seq} is of nobody`, shown: [row] })
  return found
}

/** What was acknowledged before another was asked for comes before it. */
function order(calls: readonly Call[]): Violation[] {
  const oks = calls.filter(call => call.outcome === 'ok' && call.intent !== null)
  // A later try of a key is answered with a seq from before it was asked: the first try counts.
  const firsts = [...Map.groupBy(calls, ({ tag }) => tag)].map(([tag, tries]) => ({
    tag,
    at: Math.min(...tries.map(({ at }) => at)),
  }))
  const began = new Map(firsts.map(({ tag, at }) => [tag, at]))
  const byStart = oks.map(call => ({ call, at: began.get(call.tag) ?? call.at })).sort((a, b) => a.at - b.at)
  const byEnd = [...oks].sort((a, b) => a.until - b.until)
  let highest: Call | undefined
  let next = 0
  for (const { call, at } of byStart) {
    for (let before = byEnd[next]; before && before.until < at; before = byEnd[++next])
      if ((before.intent?.seq ?? 0) > (highest?.intent?.seq ?? 0)) highest = before
    if (highest && (highest.intent?.seq ?? 0) > (call.intent?.seq ?? 0))
      return [
        {
          invariant: 3,
          what: `${call.tag} overtook ${highest.tag}, which was there before it was asked`,
          shown: [highest, call],
        },
      ]
  }
  return []
}

function endings(rows: readonly LedgerRow[]): Violation[] {
  return rows.flatMap(row => {
    if (!ENDED.has(row.status))
      return [{ invariant: 13, what: `seq ${row.seq} is ${row.status} for ever`, shown: [row] }]
    if (row.status === 'PARKED' && row.solo < DEATHS)
      return [{ invariant: 1, what: `seq ${row.seq} is PARKED after ${row.solo} deaths`, shown: [row] }]
    if ((row.status === 'PUBLISHED') !== (row.version !== null))
      return [{ invariant: 1, what: `seq ${row.seq} is ${row.status} in version ${row.version}`, shown: [row] }]
    return []
  })
}

/** Whoever is to see to them finds all that have failed or were set aside. */
function listing({ end }: History, rows: readonly LedgerRow[]): Violation[] {
  const listed = new Set(end.listed)
  return rows.flatMap(row =>
    listed.has(row.id) === (row.status === 'FAILED' || row.status === 'PARKED')
      ? []
      : [
          {
            invariant: 11,
            what: `seq ${row.seq} is ${row.status}, and listed as it should not be, or not`,
            shown: [row],
          },
        ],
  )
}

function cancelled({ cancellations }: History, rows: readonly LedgerRow[]): Violation[] {
  const byId = new Map(rows.map(row => [row.id, row]))
  return cancellations.flatMap(cancellation => {
    const row = byId.get(cancellation.intent)
    if (cancellation.outcome !== 'ok' || !row || row.status === 'CANCELLED') return []
    return [{ invariant: 1, what: `seq ${row.seq} was taken back, and is ${row.status}`, shown: [cancellation, row] }]
  })
}

/** Each came to what the single-threaded model says. */
function outcomes(rows: readonly LedgerRow[], replayed: Replayed | undefined): Violation[] {
  if (!replayed) return []
  if (replayed.broken) return [{ invariant: 6, what: replayed.broken, shown: [] }]
  for (const row of rows) {
    const expected = replayed.outcomes.get(row.id)
    if (!expected) continue
    const code = expected.status === 'FAILED' ? expected.code : null
    // The first that differs: those behind it differ for the same reason.
    if (expected.status !== row.status || code !== row.code)
      return [{ invariant: 2, what: `seq ${row.seq} should be ${expected.status} ${code ?? ''}`.trim(), shown: [row] }]
  }
  return []
}

/** An intent's version is the first that has its seq, and no version skips or repeats one. */
function versionsOf({ end }: History, model: string, rows: readonly LedgerRow[]): Violation[] {
  const versions = end.versions.filter(row => row.model === model).sort((a, b) => a.version - b.version)
  for (const row of rows) {
    if (row.status !== 'PUBLISHED') continue
    const first = versions.find(({ lastSeq }) => lastSeq >= row.seq)
    if (first?.version !== row.version)
      return [
        {
          invariant: 2,
          what: `seq ${row.seq} is in version ${row.version}, and by its seq in ${first?.version}`,
          shown: [row, first],
        },
      ]
  }
  return []
}
