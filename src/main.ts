import { Command, Option } from 'commander'
import { VERSION } from './commands/version.ts'
import { TeatreeError, UsageError } from './platform/errors.ts'
import { readSettings, settingsHelp } from './platform/settings.ts'

/**
 * The command line. Each command's code is loaded when it is run, after the settings were read: a wrong one is told at once.
 * Exit code 0, or 1 with one line on standard error.
 */
function program(): Command {
  const teatree = new Command('teatree')
    .description('A GraphQL data platform for models that are computed on in near real time')
    .version(VERSION)
    .addHelpText('after', `\nSettings (environment):\n${settingsHelp()}`)
  teatree
    .command('serve')
    .description('the whole platform in one command; or the same reads over pulled files')
    .option('--offline <dir>', 'serve what pull has put into this folder, with no database and no network')
    .action(async ({ offline }: { offline?: string }) => {
      const settings = readSettings(process.env)
      if (offline === undefined) return (await import('./commands/serve.ts')).serve(settings)
      return (await import('./commands/serve-offline.ts')).serveOffline(settings, offline)
    })
  teatree
    .command('demo')
    .description('serve, with two models that are filled and computed on, and a trickle of new sales')
    .option('--rows <number>', 'sales to begin with', '20000')
    .option('--once', 'fill, compute, print the result, end')
    .action(async options => {
      const settings = readSettings(process.env)
      return (await import('./commands/demo.ts')).demo(settings, options)
    })
  teatree
    .command('manager')
    .description("one model's manager in a process of its own")
    .option('--model <id>', 'the model')
    .option('--local <name>', 'used by serve for its own managers')
    .action(async ({ model, local }: { model?: string; local?: string }) => {
      const settings = readSettings(process.env)
      const { localManager, modelManager } = await import('./commands/manager.ts')
      if (local !== undefined) return localManager(settings, local)
      if (model !== undefined) return modelManager(settings, model)
      throw new UsageError('manager: say which with --model ID')
    })
  client(teatree.command('import').argument('<file>'))
    .description('upload a Parquet, CSV, NDJSON or Arrow file and import it, until published')
    .requiredOption('--model <id>', 'the model')
    .requiredOption('--table <table>', 'the table')
    .option(
      '--map <column=from>',
      'column to fill, and the column of the file to fill it from; once for each: --map a=b --map c=d',
      (pair: string, before: readonly string[] = []) => [...before, pair],
    )
    .addOption(
      new Option('--mode <mode>', 'what becomes of rows that are there')
        .choices(['APPEND', 'UPSERT', 'REPLACE'])
        .default('APPEND'),
    )
    .action(async (file, { server, ...options }) =>
      (await import('./commands/import.ts')).importFile(file, { url: server, ...options }),
    )
  client(teatree.command('pull').argument('<model[@version]>'))
    .description('a version of a model as one DuckDB file on this machine; a later pull fetches only what changed')
    .requiredOption('--to <dir>', 'the folder; serve --offline serves all that is in it')
    .action(async (model, { server, ...options }) => {
      await (await import('./commands/pull.ts')).pull(model, { url: server, ...options })
    })
  teatree
    .command('restore')
    .argument('<model>', 'the model, or MODEL@VERSION')
    .description(
      'make the file of a model from the object store alone (TEATREE_STORE_URL), with no database and no server',
    )
    .requiredOption('--to <dir>', 'the folder that gets model.duckdb')
    .action(async (model, { to }: { to: string }) =>
      (await import('./commands/restore.ts')).restore(readSettings(process.env), model, to),
    )
  teatree
    .command('compare')
    .description('the same function and queries on both engines over the same made-up data, side by side, cell by cell')
    .option('--kind <kind>', 'the kind of the function', 'goals')
    .option('--function <name>', 'the function', 'computeGoals')
    .option('--arguments <json>', "in the place of some of the function's arguments, as an object")
    .option('--rows <numbers>', 'sales, one or several numbers', '1e6')
    .option('--memory <size>', 'what each process may have at most, by the system: 512MB')
    .option('--json', 'print figures and differences as JSON')
    .action(async options => (await import('./commands/compare.ts')).compare(options))
  teatree
    .command('migrate')
    .description('bring the control database to this release')
    .action(async () => (await import('./commands/migrate.ts')).migrateDatabase(readSettings(process.env)))
  return teatree
}

/** The options of every command that talks to a server. */
const client = (command: Command): Command =>
  command
    .option('--server <url>', 'the GraphQL endpoint', 'http://localhost:4000/graphql')
    .option('--token <token>', 'for a server that asks for one')

/** Runs the command line and ends the process. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`teatree: ${lineOf(error)}\n`)
    process.exit(1)
  }
}

const NO_DATABASE = 'no database answers; look at TEATREE_DATABASE_URL, and whether PostgreSQL runs there'
const NO_HOST = 'the host of the database is not known; look at TEATREE_DATABASE_URL'
const NO_LOGIN = 'the database refuses the user or password; look at TEATREE_DATABASE_URL'
/** The setting at fault, by the code of what the system or PostgreSQL says while the platform starts. */
const AT_FAULT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; choose another with PORT',
  EADDRNOTAVAIL: 'this machine has no such address; choose another with HOST',
  ECONNREFUSED: NO_DATABASE,
  ECONNRESET: NO_DATABASE,
  EHOSTUNREACH: NO_DATABASE,
  ENETUNREACH: NO_DATABASE,
  ETIMEDOUT: NO_DATABASE,
  ENOTFOUND: NO_HOST,
  '28000': NO_LOGIN,
  '28P01': NO_LOGIN,
  '3D000': 'the server has no such database; make it, or look at TEATREE_DATABASE_URL',
}

/** One line that says what to do; a fault of ours shows its stack, since nobody else can. */
function lineOf(error: unknown): string {
  if (error instanceof UsageError || error instanceof TeatreeError) return error.message
  const known = AT_FAULT[String((error as { code?: unknown } | null)?.code)]
  return known ?? (error instanceof Error ? (error.stack ?? error.message) : String(error))
}
