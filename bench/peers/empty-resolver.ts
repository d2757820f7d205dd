import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { submit } from '../../src/commands/client.ts'
import { startPlatform } from '../../src/commands/serve.ts'
import { stopSignal } from '../../src/commands/stop.ts'
import { readSettings } from '../../src/platform/settings.ts'
import { createModel } from '../platform.ts'

/**
 * The platform on the database that is given, whose mutations do nothing: they answer with an intent that was accepted once.
 * Tells its parent where it listens, and the model.
 */
const stopped = stopSignal(['SIGTERM'])
await using stack = new AsyncDisposableStack()
const dir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-bench-')), path =>
  rm(path, { recursive: true, force: true }),
)
const settings = readSettings({ PORT: '0', TEATREE_DATA_DIR: dir, TEATREE_DATABASE_URL: process.argv[2] })
const { url, services } = await startPlatform(stack, settings, new AbortController().signal)
const server = { url: `${url}/graphql` }
const model = await createModel(server, { kind: 'sales' })
const row = { orderId: 'A', line: 1, date: '2025-06-01', siteId: 'S01', productId: 'T001', customerId: 'C0001' }
await submit(server, {
  name: 'appendSales',
  types: '$model: ID!, $rows: [SaleInput!]!',
  variables: { model, rows: [{ ...row, quantity: '1', amount: '1' }] },
})
const [intent] = await services.ledger.intents({ model }, { limit: 1 })
if (!intent) throw new Error('what was submitted is not in the ledger')
services.submitter = { submit: async () => intent }
process.send?.({ url, model })
await stopped
