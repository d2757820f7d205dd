import { existsSync, readFileSync } from 'node:fs'

/** The value below which `share` of the samples lie (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5)

/** A table of rows under a heading, columns wide enough for what is in them. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows]
  const widths = heading.map((_, column) => Math.max(...all.map(row => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ')
  return `${line(heading)}\n${widths.map(width => '-'.repeat(width)).join('   ')}\n${rows.map(line).join('\n')}\n`
}

export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)

/** The installed version of a package: a peer's, in bench/, or the platform's own. */
export function versionOf(name: string): string {
  const places = ['./node_modules/', '../node_modules/'].map(
    folder => new URL(`${folder}${name}/package.json`, import.meta.url),
  )
  const found = places.find(place => existsSync(place))
  return found ? JSON.parse(readFileSync(found, 'utf8')).version : 'not installed'
}
