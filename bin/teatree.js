#!/usr/bin/env node
// Plain JavaScript that the oldest Node understands: it says in one line what to run where Node cannot load TypeScript.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  process.stderr.write(
    'teatree needs Node 24 or newer, and this is ' +
      process.version +
      '. Run: npx -y -p node@24 -c "npm ci && npm ' +
      (process.argv[2] === 'demo' ? 'run demo' : 'start') +
      '"\n',
  )
  process.exit(1)
}
// DuckDB, the file system and DNS share libuv's threads, and with its four a few slow queries hold up everything.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'
import('../src/main.ts').then(main => main.run(process.argv))
