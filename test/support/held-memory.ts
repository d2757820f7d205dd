import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** The bytes of the buffers that somebody holds. What nobody does is collected first: when V8 would do so is its own affair. */
export function heldBytes(): number {
  collect()
  // The buffers of what was collected are let go beside it; the second time waits until that has been done.
  collect()
  return process.memoryUsage().arrayBuffers
}
