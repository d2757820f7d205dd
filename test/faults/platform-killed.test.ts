import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { comesTrue } from '../support/comes-true.ts'
import { type Answer, startPlatform, type TestPlatform } from '../support/platform.ts'
import { appendSales, createModel } from '../support/sales-model.ts'

/** Its own PostgreSQL is in the data directory. */
let platform: TestPlatform
beforeAll(async () => {
  platform = await startPlatform({ TEATREE_DATABASE_URL: '' })
})
afterAll(() => platform[Symbol.asyncDispose]())

test('kill -9 of the whole platform under load, started again on its data: what was acknowledged is there once', {
  timeout: 120_000,
}, async () => {
  const model = await createModel(platform, { kind: 'sales' })
  await appendSales(platform, model, [{ orderId: 'FIRST' }])
  const acknowledged = ['FIRST']
  const killed = Promise.withResolvers<void>()
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let count = 0; ; count++) {
      const orderId = `W${writer}-${count}`
      const intent = await submit(platform, model, orderId)
      if (intent === null) return
      acknowledged.push(orderId)
      if (acknowledged.length === 60) killed.resolve()
    }
  })
  await killed.promise
  platform.process.kill('SIGKILL')
  await Promise.all(writers)
  await platform.restart()

  const orders = await allOrders(platform, model, acknowledged.length)
  expect(orders).toHaveLength(new Set(orders).size)
  expect(orders).toEqual(expect.arrayContaining(acknowledged))
  expect(await appendSales(platform, model, [{ orderId: 'LAST' }])).toMatchObject({ status: 'PUBLISHED' })
})

test('a second platform on the same data says so and ends; the first goes on, and ends at SIGTERM, leaving no process', async () => {
  const model = await createModel(platform, { kind: 'sales' })
  const second = startPlatform({ TEATREE_DATABASE_URL: '', TEATREE_DATA_DIR: join(platform.dir, 'data') })
  await expect(second).rejects.toThrow(/another teatree serve runs on/)
  expect(await appendSales(platform, model, [{ orderId: 'A' }])).toMatchObject({ status: 'PUBLISHED' })
  const ours = await processesOf(platform.dir)
  expect(ours.length).toBeGreaterThan(1)
  // Within its grace: past that it would be killed, and have no exit code.
  await platform[Symbol.asyncDispose]()
  expect(platform.process.exitCode).toBe(0)
  expect(await processesOf(platform.dir)).toEqual([])
})

/** The accepted intent, or null where the platform is gone. */
async function submit(platform: TestPlatform, model: string, orderId: string): Promise<Answer> {
  const sale = {
    orderId,
    line: 1,
    date: '2024-01-01',
    siteId: 'S',
    productId: 'T',
    customerId: 'C',
    quantity: '1',
    amount: '1',
  }
  try {
    const data = await platform.graphql(
      'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }',
      { model, rows: [sale] },
    )
    return data.appendSales
  } catch {
    return null
  }
}

/** All orders, once the line is empty. */
async function allOrders(platform: TestPlatform, model: string, atLeast: number): Promise<string[]> {
  let orders: string[] = []
  const isEmpty = async () => {
    const { salesModel } = await platform.graphql(
      'query ($id: ID!) { salesModel(id: $id) { manager { queued } snapshot { sales(first: 1000) { nodes { orderId } } } } }',
      { id: model },
    )
    orders = salesModel.snapshot.sales.nodes.map((row: { orderId: string }) => row.orderId)
    return salesModel.manager.queued === 0 && orders.length >= atLeast
  }
  expect(await comesTrue(isEmpty, 60_000)).toBe(true)
  return orders
}

/** Processes whose command line or environment names the folder. */
async function processesOf(dir: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const [command, env] = await Promise.all(
      ['cmdline', 'environ'].map(file => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    )
    if (command?.includes(dir) || env?.includes(dir)) found.push(command?.replaceAll('\0', ' ') ?? pid)
  }
  return found
}
