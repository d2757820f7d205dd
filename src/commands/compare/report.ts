import { ENGINES, type Measured, type Outcome } from './run.ts'

const NAME_WIDTH = 34
const WIDTH = 12

/** A comparison for people: what each task took on either engine, side by side, and whether the cells are the same. */
export function report({ sales, measured, compared, differences }: Outcome): string {
  const lines = [line(`${sales.toLocaleString('en')} sales`, [...ENGINES, `${ENGINES[1]} /`])]
  for (const task of measured) lines.push('', ...linesOf(task))
  return `${lines.join('\n')}\n\n${verdict(compared, differences)}\n`
}

function linesOf({ name, engines, refused }: Measured): string[] {
  const ended = ENGINES.flatMap(engine => {
    const figures = engines[engine]
    return figures && 'outOfMemory' in figures ? [`${figures.outOfMemory}`] : []
  })
  const all = ENGINES.map(engine => {
    const figures = engines[engine]
    return figures && !('outOfMemory' in figures) ? figures : {}
  })
  const keys = [...new Set(all.flatMap(figures => Object.keys(figures)))]
  return [
    name,
    ...ended.map(text => `  ${text}`),
    ...refused.map(query => `  ${query} was refused, which may need more memory than there is`),
    ...keys.map(key => {
      const values = all.map(figures => figures[key])
      const [one = Number.NaN, other = Number.NaN] = values
      return line(`  ${labelOf(key)}`, [...values.map(value => shown(key, value)), ratio(other / one)])
    }),
  ]
}

function verdict(compared: Outcome['compared'], differences: Outcome['differences']): string {
  if (differences === null) return 'NOT COMPARED: not every task came to its end'
  if (differences.length > 0) return `DIFFERENT\n${differences.map(text => `  ${text}`).join('\n')}`
  const rows = Object.entries(compared).map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
  return `EQUAL, every cell: ${rows.join(', ')}`
}

const line = (name: string, cells: readonly string[]): string =>
  name.padEnd(NAME_WIDTH) + cells.map(cell => cell.padStart(WIDTH)).join('')

/** The unit is the second last word of a figure's name: milliseconds, or bytes, shown as megabytes. */
const isBytes = (key: string) => / bytes\b/.test(key)
const labelOf = (key: string) => key.replace(' bytes', ' MB').replace(' MB written', ' writes MB')

function shown(key: string, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–'
  const number = isBytes(key) ? value / 1e6 : value
  return number.toFixed(number < 10 ? 2 : number < 1000 ? 1 : 0)
}

const ratio = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)}x` : '–')
