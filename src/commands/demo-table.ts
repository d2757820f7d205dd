/** A row of `attainment` by site, as the server answers. */
export interface AttainmentRow {
  siteId: string | null
  goalAmount: string
  actualAmount: string
  ratio: number | null
}

const BAR = 20

/** Goal, actual and how far it is, a line per site, largest goal first, and all in all. */
export function attainmentTable(rows: readonly AttainmentRow[], names: ReadonlyMap<string, string>): string {
  const lines = [...rows]
    .sort((a, b) => Number(b.goalAmount) - Number(a.goalAmount))
    .map(row =>
      line(names.get(row.siteId ?? '') ?? row.siteId ?? '(none)', Number(row.goalAmount), Number(row.actualAmount)),
    )
  const sum = (column: 'goalAmount' | 'actualAmount') => rows.reduce((total, row) => total + Number(row[column]), 0)
  const rule = '-'.repeat(28 + 2 * 15 + 8 + BAR)
  const heading = `${'Site'.padEnd(28)}${'Goal'.padStart(15)}${'Actual'.padStart(15)}${'%'.padStart(6)}\n${rule}\n`
  return `${heading}${lines.join('')}${rule}\n${line('All sites', sum('goalAmount'), sum('actualAmount'))}`
}

function line(name: string, goal: number, actual: number): string {
  const ratio = goal === 0 ? null : actual / goal
  const bar = '#'.repeat(Math.min(BAR, Math.round((ratio ?? 0) * BAR * 0.75)))
  const percent = ratio === null ? '-' : (ratio * 100).toFixed(0)
  return `${name.padEnd(28)}${money(goal).padStart(15)}${money(actual).padStart(15)}${percent.padStart(6)}  ${bar}\n`
}

const money = (amount: number) => amount.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
