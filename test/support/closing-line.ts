import type { Reporter, TestModule } from 'vitest/node'

/** Closes a run with one plain line, "N passed, N failed, N skipped", for those who read logs by machine. */
export const closingLine: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) count[test.result().state]++
      // A module that could not be loaded has no tests to fail.
      if (module.errors().length > 0) count.failed++
    }
    process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped\n`)
  },
}
