import type { History, LogRow, Told, Violation } from '../history.ts'

/** What subscribers were told of, against the log. (10) */
export function checkSubscribers(history: History): Violation[] {
  const { end, told } = history
  const whole = history.models.flatMap(({ id }) => {
    const log = end.log.filter(({ model }) => model === id).sort((a, b) => a.position - b.position)
    return checkLog(id, log, history)
  })
  const bySubscriber = Map.groupBy(told, ({ subscriber }) => subscriber)
  return [...whole, ...[...bySubscriber].flatMap(([name, pages]) => checkPages(name, pages, history))]
}

/** Every intent and query run that has ended is in it once, and nothing else is. */
function checkLog(model: string, log: readonly LogRow[], { end }: History): Violation[] {
  const ids = new Set(log.map(({ id }) => id))
  const all = [
    ...end.ledger.map(row => ({ ...row, what: `seq ${row.seq}` })),
    ...end.queryRuns.map(run => ({ ...run, what: `query run ${run.id}`, status: run.state })),
  ]
  const ended = all.filter(each => each.model === model && each.status !== 'QUEUED' && each.status !== 'RUNNING')
  const endedIds = new Set(ended.map(({ id }) => id))
  const missing = ended.find(({ id }) => !ids.has(id))
  const other = log.find(({ id }) => !endedIds.has(id))
  const gap = log.find(({ position }, index) => position !== index + 1)
  return [
    ...(missing ? [{ invariant: 10, what: `the end of ${missing.what} is not in the log`, shown: [missing] }] : []),
    ...(other
      ? [{ invariant: 10, what: `entry ${other.position} is of nothing of ${model} that has ended`, shown: [other] }]
      : []),
    ...(gap ? [{ invariant: 10, what: `the log has a gap before ${gap.position}`, shown: [gap] }] : []),
    ...(ids.size < log.length ? [{ invariant: 10, what: `the log of ${model} has an entry twice`, shown: [] }] : []),
  ]
}

function checkPages(name: string, pages: readonly Told[], { end }: History): Violation[] {
  const [first] = pages
  const log = end.log.filter(({ model }) => model === first?.model).sort((a, b) => a.position - b.position)
  const seen = pages.flatMap(({ entries }) => entries)
  const found: Violation[] = []
  for (const [index, { id }] of seen.entries())
    if (log[index]?.id !== id) {
      const shown = [seen[index - 1], seen[index], log.slice(Math.max(0, index - 1), index + 2)]
      return [
        { invariant: 10, what: `${name} was told of entry ${index + 1} out of order, twice or not at all`, shown },
      ]
    }
  if (seen.length < log.length)
    found.push({
      invariant: 10,
      what: `${name} was told of ${seen.length} of ${log.length} entries`,
      shown: [pages.at(-1)],
    })
  const ledger = new Map(end.ledger.map(row => [row.id, row]))
  for (const page of pages) {
    if (page.reset) return [{ invariant: 10, what: `${name} was told to begin anew`, shown: [page] }]
    for (const entry of page.entries) {
      const row = ledger.get(entry.id)
      const isAhead = entry.status === 'PUBLISHED' && (entry.version ?? 0) > (page.snapshot ?? -1)
      const isOther = row && (row.status !== entry.status || row.version !== entry.version)
      if (isAhead || isOther)
        return [...found, { invariant: 10, what: `${name} was told of an end before it had come`, shown: [page, row] }]
    }
  }
  return found
}
