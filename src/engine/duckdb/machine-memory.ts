import { totalmem } from 'node:os'

/** Bytes; a container's limit where there is one (Node then tells a number below the machine's). */
export function machineMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}
