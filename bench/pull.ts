import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { type Server, submit } from '../src/commands/client.ts'
import { median, table, versionOf } from './figures.ts'
import { createModel, importSales, startBenchPlatform } from './platform.ts'

const PROGRAM = fileURLToPath(new URL('../bin/teatree.js', import.meta.url))
const ROUNDS = 5
const APPENDED = 10
/** What a sale takes in the model's file: its ids are random, and cannot be compressed. */
const ROW_BYTES = 81
const MEGABYTES = 500

/** What one way of bringing a version here came to. */
interface Brought {
  fetched: number
  seconds: number
}

/**
 * A model of 500 MB, or as many as are said, on another machine: pulled whole with the `teatree pull` command, then ten rows
 * are appended and it is pulled again, several times. Beside it the same file downloaded whole each time, by `fetch` to disk.
 * Both meet a version that nobody has fetched before, so the server makes its file for each.
 */
export async function run(args: string[]): Promise<void> {
  const rows = Math.ceil((Number(args[0] ?? MEGABYTES) * 1e6) / ROW_BYTES)
  await using platform = await startBenchPlatform()
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-bench-')), path =>
    rm(path, { recursive: true, force: true }),
  )
  const { server } = platform
  process.stdout.write(`${platform.versions} · DuckDB ${versionOf('@duckdb/node-api')} · ${rows} rows\n`)
  const model = await createModel(server, { kind: 'sales' })
  await generate(join(dir, 'sales.parquet'), rows)
  await importSales(server, model, createReadStream(join(dir, 'sales.parquet')))
  await rm(join(dir, 'sales.parquet'))
  const to = join(dir, 'pulled')
  const url = `${platform.url}/content/${model}/latest/model.duckdb`

  const first = await pulled(server, model, to)
  const whole = await downloaded(url, join(dir, 'downloaded.duckdb'))
  const changed: Brought[] = []
  const downloads: Brought[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await append(server, model)
    changed.push(await pulled(server, model, to))
    await append(server, model)
    downloads.push(await downloaded(url, join(dir, 'downloaded.duckdb')))
    // What the next round is to find here is one append behind.
    await pulled(server, model, to)
  }
  const again = await pulled(server, model, to)
  const line = (name: string, ways: Brought[], beside: Brought[]) => [
    name,
    megabytes(median(ways.map(({ fetched }) => fetched))),
    megabytes(Math.max(...ways.map(({ fetched }) => fetched))),
    median(ways.map(({ seconds }) => seconds)).toFixed(2),
    ratio(ways, beside, ({ fetched }) => fetched),
    ratio(ways, beside, ({ seconds }) => seconds),
  ]
  process.stdout.write(
    `\n${ROUNDS} rounds, medians; a pull is the whole command, Node's start included\n\n${table(
      ['', 'MB moved', 'most', 's', 'bytes / download', 'time / download'],
      [
        line('download, file not made yet', downloads, downloads),
        line(`pull after ${APPENDED} appended rows`, changed, downloads),
        line('first pull', [first], downloads),
        line('download, file made', [whole], [whole]),
        line('pull, nothing changed', [again], [whole]),
      ],
    )}`,
  )
}

/** Sales with random ids. */
async function generate(path: string, rows: number): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const random = (seed: string) => `md5((i * 7 + ${seed})::VARCHAR)`
  await connection.run(
    `COPY (SELECT ${random('0')} AS orderId, 1 AS line, DATE '2024-01-01' + (i % 365)::INTEGER AS date,
                  'S' || i % 50 AS siteId, ${random('1')} AS productId, ${random('2')} || ${random('3')} AS customerId,
                  NULL::VARCHAR AS salespersonId, (hash(i) % 100)::DECIMAL(18,4) AS quantity,
                  (hash(i + 1) % 1000000 / 100)::DECIMAL(18,4) AS amount FROM range(${rows}) t (i)) TO '${path}'`,
  )
  connection.closeSync()
  instance.closeSync()
}

let order = 0

async function append(server: Server, model: string): Promise<void> {
  const rows = Array.from({ length: APPENDED }, () => {
    order += 1
    return { orderId: `BENCH-${order}`, line: 1, date: '2025-06-01', siteId: 'S1', productId: 'T1', customerId: 'C1' }
  }).map(row => ({ ...row, quantity: '1', amount: '9.90' }))
  await submit(server, {
    name: 'appendSales',
    types: '$model: ID!, $rows: [SaleInput!]!',
    variables: { model, rows },
  })
}

async function pulled(server: Server, model: string, to: string): Promise<Brought> {
  const began = performance.now()
  const child = spawn(process.execPath, [PROGRAM, 'pull', model, '--to', to, '--server', server.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  const seconds = (performance.now() - began) / 1000
  const [, fetched] = /(\d+) bytes came over the wire/.exec(said) ?? []
  if (code !== 0 || fetched === undefined) throw new Error(`the pull ended with ${code}: ${said}`)
  return { fetched: Number(fetched), seconds }
}

async function downloaded(url: string, path: string): Promise<Brought> {
  const began = performance.now()
  const response = await fetch(url)
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`)
  let fetched = 0
  const count = new Transform({
    transform(chunk, _, done) {
      fetched += chunk.length
      done(null, chunk)
    },
  })
  await pipeline(Readable.fromWeb(response.body as ReadableStream), count, createWriteStream(path, { flush: true }))
  return { fetched, seconds: (performance.now() - began) / 1000 }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2)

function ratio(ways: Brought[], beside: Brought[], of: (brought: Brought) => number): string {
  const value = median(ways.map(of)) / median(beside.map(of))
  return `${value.toFixed(value < 0.1 ? 4 : 2)}x`
}
