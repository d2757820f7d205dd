import { KILL_POINTS, type KillPoint } from '../../../src/platform/kill-points.ts'
import { type FaultNote, INVARIANTS } from './history.ts'
import type { Outcome } from './schedule.ts'

/** What the schedules of a run came to. */
export class Summary {
  readonly #seeds: number[] = []
  readonly #reached = new Set<KillPoint>()
  readonly #hits: string[] = []
  readonly #faults: FaultNote[] = []
  readonly #checked = { intents: 0, versions: 0, archives: 0, reads: 0, events: 0 }
  readonly #violations: string[] = []

  add({ faults, history, hits, reached, violations }: Outcome): void {
    const { end, reads, seed, told } = history
    this.#seeds.push(seed)
    for (const point of reached) this.#reached.add(point)
    this.#hits.push(...hits.map(({ point }) => point))
    this.#faults.push(...faults)
    this.#checked.intents += end.ledger.length
    this.#checked.versions += end.versions.length
    this.#checked.archives += end.archives.length
    this.#checked.reads += reads.filter(({ content }) => content !== null).length
    this.#checked.events += told.reduce((sum, { entries }) => sum + entries.length, 0)
    this.#violations.push(...violations.map(({ invariant, what }) => `seed ${seed}, ${INVARIANTS[invariant]}: ${what}`))
  }

  /** Kill points that nobody has come to. */
  get missed(): KillPoint[] {
    return KILL_POINTS.filter(point => !this.#reached.has(point))
  }

  /** Those at which nothing was ever done to who came there. */
  get #spared(): KillPoint[] {
    return KILL_POINTS.filter(point => this.#reached.has(point) && !this.#hits.includes(point))
  }

  get isSound(): boolean {
    return this.#violations.length === 0
  }

  text(): string {
    const checked = Object.entries(this.#checked).map(([what, count]) => `${count} ${what}`)
    return [
      `${this.#seeds.length} schedules, seeds ${this.#seeds.join(' ')}`,
      `checked: ${checked.join(', ')}`,
      'kill points, and how often a process was killed, stopped, blocked or failed there:',
      ...columns(counted(KILL_POINTS, this.#hits), 3),
      ...(this.missed.length > 0 ? [`NEVER COME TO: ${this.missed.join(', ')}`] : []),
      ...(this.#spared.length > 0 ? [`come to, and nothing was done there: ${this.#spared.join(', ')}`] : []),
      'faults, how often they were played, and how often without effect:',
      ...playedOf(this.#faults).map(line => `  ${line}`),
      ...(this.isSound ? ['no violation'] : ['VIOLATIONS:', ...this.#violations.map(line => `  ${line}`)]),
    ].join('\n')
  }
}

const counted = (names: readonly string[], of: readonly string[]): string[] =>
  names.map(name => `${String(of.filter(each => each === name).length).padStart(4)}  ${name}`)

const playedOf = (faults: readonly FaultNote[]): string[] =>
  [...Map.groupBy(faults, ({ fault }) => fault)].map(([fault, played]) => {
    const idle = played.filter(note => note.idle !== null).length
    return `${String(played.length).padStart(4)} / ${idle}  ${fault}`
  })

function columns(cells: readonly string[], count: number): string[] {
  const height = Math.ceil(cells.length / count)
  const width = Math.max(...cells.map(({ length }) => length)) + 2
  return Array.from({ length: height }, (_, line) =>
    `  ${Array.from({ length: count }, (_, column) => (cells[column * height + line] ?? '').padEnd(width)).join('')}`.trimEnd(),
  )
}
