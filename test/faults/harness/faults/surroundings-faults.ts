import { setTimeout as wait } from 'node:timers/promises'
import { upTo } from '../operations.ts'
import { type Fault, type FaultContext, seeRed } from './fault.ts'

/** For a while, until it is mended. */
async function mendStore({ random }: FaultContext, mend: () => Promise<void>): Promise<void> {
  await wait(3000 + upTo(random, 3000))
  await mend()
}

/** The store and the disk. */
export const SURROUNDINGS_FAULTS: Readonly<Record<string, Fault>> = {
  'the store away': async context => {
    const mend = await context.deployment.store.away()
    await seeRed(context, 'the store is away')
    await mendStore(context, mend)
  },

  'the store slow, and failing': async context => {
    await mendStore(context, await context.deployment.store.failing(context.random))
  },

  'the disk full': async ({ deployment, idle, random }) => {
    if (!deployment.fillDisk) return idle('this user may have no small disk')
    const makeRoom = await deployment.fillDisk()
    await wait(2000 + upTo(random, 4000))
    await makeRoom()
  },
}
