import { refuseLarge } from '../amounts.ts'
import { refuseUnshared } from '../spread.ts'
import { largest, sum } from './amounts.ts'

/**
 * Step 4, as spread.ts beside this folder has it: shares of a total in proportion to the weights, to the cent. Ties go to those
 * that come first.
 * @param weights at least 0
 * @param total in cents, at least 0
 * @throws TeatreeError NO_BASIS, BAD_VALUE
 */
export function spread(weights: readonly bigint[], total: bigint): bigint[] {
  const all = sum(weights)
  refuseUnshared(all, total)
  const shares = weights.map(weight => (weight * total) / (all || 1n))
  const remainders = weights.map((weight, place) => weight * total - (shares[place] ?? 0n) * (all || 1n))
  const left = Number(total - sum(shares))
  const first = remainders
    .map((remainder, place) => ({ remainder, place }))
    .filter(({ remainder }) => remainder > 0n)
    .sort((a, b) => (a.remainder > b.remainder ? -1 : a.remainder < b.remainder ? 1 : a.place - b.place))
  const raised = new Set(first.slice(0, left).map(({ place }) => place))
  const cents = shares.map((share, place) => (raised.has(place) ? share + 1n : share))
  refuseLarge(largest(cents))
  return cents
}
