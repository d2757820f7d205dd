import type { History, Read, Told, Violation } from '../history.ts'

/** What readers saw. (4, 5, 10) */
export function checkReaders(history: History): Violation[] {
  return history.models.flatMap(({ id }) => {
    const reads = history.reads.filter(({ model }) => model === id)
    return [...ownWrites(history, reads), ...neverBack(history, id, reads), ...onePage(reads)]
  })
}

/** A version that holds the intent is there for those who ask for it, or it is said that there is none yet. */
function ownWrites({ end }: History, reads: readonly Read[]): Violation[] {
  const ledger = new Map(end.ledger.map(row => [row.id, row]))
  return reads.flatMap(read => {
    if ('version' in read.asked && read.version !== null && read.version !== read.asked.version)
      return [{ invariant: 4, what: `asked for version ${read.asked.version}, and got ${read.version}`, shown: [read] }]
    if (!('intent' in read.asked) || read.version === null) return []
    // One that ended without effect is in no version.
    const row = ledger.get(read.asked.intent)
    if (!row || row.version === null || row.version <= read.version) return []
    return [{ invariant: 4, what: `a read at seq ${read.asked.seq} got version ${read.version}`, shown: [read, row] }]
  })
}

/** Whoever asks for the newest gets none that is older than what anybody had been told of before. */
function neverBack({ told }: History, model: string, reads: readonly Read[]): Violation[] {
  const known = [
    ...reads.flatMap(read =>
      read.version === null ? [] : [{ at: read.until, version: read.version, by: read as unknown }],
    ),
    ...told
      .filter(page => page.model === model)
      .map(page => ({ at: page.at, version: newestOf(page), by: page as unknown })),
  ].sort((a, b) => a.at - b.at)
  let newest = known[0]
  let next = 0
  for (const read of reads.filter(({ asked }) => 'newest' in asked).sort((a, b) => a.at - b.at)) {
    for (let before = known[next]; before && before.at < read.at; before = known[++next])
      if (!newest || before.version > newest.version) newest = before
    if (read.version !== null && newest && newest.at < read.at && read.version < newest.version)
      return [
        {
          invariant: 5,
          what: `version ${read.version} was the newest after ${newest.version}`,
          shown: [newest.by, read],
        },
      ]
  }
  return []
}

const newestOf = ({ entries, snapshot }: Told): number =>
  Math.max(snapshot ?? 0, ...entries.map(({ version }) => version ?? 0))

function onePage(reads: readonly Read[]): Violation[] {
  return reads.flatMap(read =>
    read.pages?.some(version => version !== read.version)
      ? [{ invariant: 10, what: 'pages of one result are of several versions', shown: [read] }]
      : [],
  )
}
