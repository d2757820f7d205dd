#!/usr/bin/env node
// Plain JavaScript that the oldest Node understands: it says in one line what to run where Node cannot load TypeScript.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  const args = process.argv.slice(2)
  const commands = { serve: 'npm ci && npm start', demo: 'npm ci && npm run demo' }
  process.stderr.write(
    'teatree needs Node 24 or newer, and this is ' +
      process.version +
      '. Run: npx -y -p node@24 -c "' +
      (commands[args[0]] || ['node bin/teatree.js'].concat(args.map(quoted)).join(' ')) +
      '"\n',
  )
  process.exit(1)
}
/** As a shell takes it within double quotes. */
function quoted(text) {
  if (/^[\w./:=@%+,-]+$/.test(text)) return text
  return `'${text.replace(/'/g, "'\\''").replace(/(["\\$`])/g, '\\$1')}'`
}
// DuckDB, the file system and DNS share libuv's threads, and with its four a few slow queries hold up everything.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'
// Polars frees memory from whichever thread it likes, and of what each thread of glibc has to itself hardly anything goes back to the
// system. Of the processes that this one starts, which are told by the variable, all threads share two such places.
if (!process.env.MALLOC_ARENA_MAX) process.env.MALLOC_ARENA_MAX = '2'
// What TypeScript is stripped to is kept, which halves a start, also of the processes that this one starts, which are told
// by the variable. Not in a folder for everybody, who could put code there.
Promise.all([import('node:module'), import('node:url')])
  .then(([{ enableCompileCache }, { fileURLToPath }]) => {
    if (!process.env.NODE_COMPILE_CACHE)
      process.env.NODE_COMPILE_CACHE = fileURLToPath(new URL('../node_modules/.cache/teatree', import.meta.url))
    enableCompileCache(process.env.NODE_COMPILE_CACHE)
  })
  .then(() => import('../src/main.ts'))
  .then(main => main.run(process.argv))
