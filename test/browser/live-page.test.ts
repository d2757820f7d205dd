import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { chromium } from 'playwright-core'
import { expect, test } from 'vitest'
import { LOAD } from '../../examples/live-page/newest-sales.ts'
import { startPlatform } from '../support/platform.ts'
import { appendSales, createModel } from '../support/sales-model.ts'
import { WatchedScreen } from '../support/watched-screen.ts'

const executablePath = process.env.TEATREE_TEST_BROWSER
const EXAMPLES = new URL('../../examples/', import.meta.url)

test.skipIf(!executablePath)(
  'a live page by a real EventSource misses nothing when its server is killed (skipped where TEATREE_TEST_BROWSER is not set)',
  { timeout: 120_000 },
  async () => {
    // Nothing is there while it does not run: the browser's connections are refused.
    await using platform = await startPlatform({ PORT: await freePort() })
    const model = await createModel(platform, { kind: 'sales' })
    const browser = await chromium.launch({
      executablePath: executablePath ?? '',
      chromiumSandbox: false,
      args: ['--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
    })
    try {
      const page = await browser.newPage()
      const errors: string[] = []
      page.on('pageerror', error => errors.push(error.message))
      await page.route('**/live', route => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }))
      await page.route('**/examples/**', async route => {
        const file = new URL(new URL(route.request().url()).pathname.slice('/examples/'.length), EXAMPLES)
        const body = stripTypeScriptTypes(await readFile(file, 'utf8'))
        await route.fulfill({ contentType: 'text/javascript', body })
      })
      const screen = new WatchedScreen()
      await page.exposeFunction('start', screen.start.bind(screen))
      await page.exposeFunction('update', screen.update.bind(screen))
      await page.exposeFunction('away', screen.away.bind(screen))
      await page.goto(`${platform.url}/live`)
      await page.addScriptTag({
        type: 'module',
        content: `import { follow } from '/examples/live-page/event-source.ts'
          const { start, update, away } = window
          follow('/graphql', '${model}', { start, update, away: () => away() }, new AbortController().signal)`,
      })
      await screen.until(() => screen.starts === 1)
      for (const orderId of ['A', 'B', 'C']) {
        const seen = screen.seqs.length
        await appendSales(platform, model, [{ orderId }])
        await screen.until(() => screen.seqs.length > seen)
        const { aways } = screen
        platform.process.kill('SIGKILL')
        // Refused more than once.
        await screen.until(() => screen.aways > aways + 1)
        await platform.restart()
      }
      await appendSales(platform, model, [{ orderId: 'D' }])
      await screen.until(() => screen.seqs.length === 4)
      expect(screen.seqs).toEqual([1, 2, 3, 4])
      expect(screen.starts).toBe(1)
      const { salesModel } = await platform.graphql(LOAD, { model })
      expect(screen.results).toEqual(salesModel.snapshot)
      expect(errors).toEqual([])
    } finally {
      await browser.close()
    }
  },
)

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return String(port)
}
