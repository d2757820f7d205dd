import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { cpus } from 'node:os'

/**
 * `npm run bench -- NAME [OPTION…]`: runs bench/NAME.ts. Each prints the versions and the machine's cores, runs itself
 * and its peers several times in turn in the same run, and says medians and ratios.
 */
const here = new URL('.', import.meta.url)
const [name, ...args] = process.argv.slice(2)
const there = (await readdir(here)).flatMap(file =>
  /^[a-z]+\.ts$/.test(file) && file !== 'run.ts' ? file.slice(0, -3) : [],
)
if (name === undefined || !there.includes(name)) {
  process.stderr.write(`bench: say which of ${there.join(', ')}\n`)
  process.exit(1)
}
if (!existsSync(new URL('node_modules', here))) {
  process.stdout.write('installing the peers …\n')
  execFileSync('npm', ['ci'], { cwd: here, stdio: 'inherit' })
}
process.stdout.write(`bench ${name} · Node ${process.version} · ${cpus().length} × ${cpus()[0]?.model}\n`)
const bench = (await import(`./${name}.ts`)) as { run(args: string[]): Promise<void> }
await bench.run(args)
process.exit(0)
