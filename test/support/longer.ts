/** How many times the runs of the suite random tests make: 1, and more where somebody has the time. */
export const LONGER = Number(process.env.TEATREE_TEST_LONGER) || 1
