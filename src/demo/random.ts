/** A source of numbers that a seed decides. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** A whole number from `from` up to and without `to`. */
  integer(from: number, to: number): number
  /** Normally distributed, mean 0 and deviation 1 (Box and Muller, 1958). */
  normal(): number
  /** An index into `cumulative`, in proportion to the steps between its rising sums. */
  weighted(cumulative: readonly number[]): number
}

/** Mulberry32 (Tommy Ettinger): 32 bits of state, plenty for made-up sales. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    integer: (from, to) => from + Math.floor(next() * (to - from)),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    weighted: cumulative => {
      const target = next() * (cumulative.at(-1) ?? 0)
      let low = 0
      let high = cumulative.length - 1
      while (low < high) {
        const middle = (low + high) >> 1
        if ((cumulative[middle] ?? 0) > target) high = middle
        else low = middle + 1
      }
      return low
    },
  }
}

/** Rising sums of weights, for `Random.weighted`. */
export function cumulate(weights: readonly number[]): number[] {
  let sum = 0
  return weights.map(weight => (sum += weight))
}
