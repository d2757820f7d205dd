/** The functions and the query of goals over frames; what they do is said by those of the same names beside this folder. */
export { refreshActuals } from './actuals.ts'
export { adjustGoals } from './adjust.ts'
export { attainment } from './attainment.ts'
export { computeGoals } from './compute.ts'
export { lockGoals } from './locks.ts'
