import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** The bytes of the buffers that somebody holds. What nobody does is collected first: when V8 would do so is its own affair. */
export function heldBytes(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}
