import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { closingLine } from './test/support/closing-line.ts'

export default defineConfig({
  // As Node itself resolves: with vite's `development`, tests would see another copy of graphql than its users do.
  ssr: { resolve: { conditions: ['node', 'module-sync'] } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', closingLine],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    // What is waited for comes true, on a machine that is busy with other things, too.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    // A process takes one file after the other: to start one, and to load the packages, for each takes a sixth of the run. So tests
    // leave nothing behind in it, and look at what is theirs.
    isolate: false,
    // Where tables are read in JavaScript by the thousands, a heap that begins small is collected again and again: a fifth of the run.
    execArgv: ['--initial-old-space-size=512', '--min-semi-space-size=16'],
    // One more than the cores of a small machine: half of the time a test waits, for a disk, a lease, a process that starts.
    maxWorkers: 3,
    env: {
      // DuckDB's client runs on libuv's threads, whose number is read once, when a process begins.
      UV_THREADPOOL_SIZE: '16',
      // As bin/teatree.js has it: what packages are compiled to is there for the next file's process.
      NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/teatree', import.meta.url)),
    },
  },
})
