import { expect, test } from 'vitest'
import { faultOf as arrowFault } from '../../src/engine/arrow/errors.ts'
import { faultOf as duckdbFault } from '../../src/engine/duckdb/errors.ts'
import { TeatreeError } from '../../src/platform/errors.ts'

const refused = new TeatreeError('NO_BASIS', 'there are no sales')
const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
const bug = new Error('x is not a function')
const behind = (error: unknown, suppressed: unknown) => new SuppressedError(error, suppressed)

test.each([
  ['DUCKDB', duckdbFault, new Error('Out of Memory Error: could not allocate block')],
  ['ARROW', arrowFault, new Error('Cannot allocate memory (os error 12)')],
])(
  'on %s what failed, and what failed in cleaning up behind it, are the surroundings’ fault where either is',
  (_, faultOf, memory) => {
    for (const error of [refused, full, bug, memory]) {
      expect(faultOf(behind(memory, error))).toBe('surroundings')
      expect(faultOf(behind(full, error))).toBe('surroundings')
      expect(faultOf(behind(bug, error))).toBe(faultOf(error) === 'surroundings' ? 'surroundings' : 'kind')
      expect(faultOf(behind(refused, behind(bug, error)))).toBe(faultOf(behind(bug, error)))
    }
    expect([refused, full, bug, memory].map(faultOf)).toEqual(['intent', 'surroundings', 'kind', 'surroundings'])
  },
)
