import { takeBatch } from '../../src/jobs/take.ts'

/** The intents that are taken, whatever waits behind them. */
export const takenBatch = async (...args: Parameters<typeof takeBatch>) => (await takeBatch(...args)).batch
