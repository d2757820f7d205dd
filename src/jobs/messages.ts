/**
 * Why a model is kept from others, and for how long it is held: a suspect until what its last manager may have died of has ended,
 * a troubled one as long as it has work, and a little longer.
 */
export type Apart = 'suspect' | 'troubled'

/** What a local manager process and its launcher say to each other; both import it from here. */
export type ToManager =
  | { is: 'hold'; model: string; apart: Apart | null }
  /** Finish what is under way, give everything back, end. */
  | { is: 'stop' }
  | { is: 'metrics'; request: number }

export type FromManager =
  /** First word of a process: it can hold models, under this owner of leases. */
  | { is: 'ready'; owner: string }
  | { is: 'held'; model: string }
  /** Not to be had: another manager has it, or it cannot be opened. */
  | { is: 'refused'; model: string }
  /** It was held, and is no longer. */
  | { is: 'released'; model: string }
  /** Prometheus text of the process. */
  | { is: 'metrics'; request: number; text: string }
