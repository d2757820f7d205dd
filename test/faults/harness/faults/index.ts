import { DATABASE_FAULTS } from './database-faults.ts'
import type { Fault } from './fault.ts'
import { OWNER_FAULTS } from './owner-faults.ts'
import { PROCESS_FAULTS } from './process-faults.ts'
import { SURROUNDINGS_FAULTS } from './surroundings-faults.ts'

/** All faults, by what they are called. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  ...PROCESS_FAULTS,
  ...OWNER_FAULTS,
  ...DATABASE_FAULTS,
  ...SURROUNDINGS_FAULTS,
}
