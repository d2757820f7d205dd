import { getOperationAST, parse } from 'graphql'
import { chromium } from 'playwright-core'
import { expect, test } from 'vitest'
import { readyQueries } from '../../src/server/ready-queries.ts'
import { startPlatform } from '../support/platform.ts'
import { appendSales, createModel } from '../support/sales-model.ts'

const executablePath = process.env.TEATREE_TEST_BROWSER

test.skipIf(!executablePath)(
  'GraphiQL works in a browser that reaches no other host, subscriptions too (skipped where TEATREE_TEST_BROWSER is not set)',
  { timeout: 120_000 },
  async () => {
    await using platform = await startPlatform()
    const model = await createModel(platform, { id: 'shown', kind: 'sales' })
    const browser = await chromium.launch({
      executablePath: executablePath ?? '',
      chromiumSandbox: false,
      args: [
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
    try {
      const page = await browser.newPage()
      const elsewhere: string[] = []
      const errors: string[] = []
      page.on('request', request => {
        const { protocol, host } = new URL(request.url())
        if (protocol.startsWith('http') && host !== new URL(platform.url).host) elsewhere.push(request.url())
      })
      page.on('pageerror', error => errors.push(error.message))
      const subscription =
        'subscription { completions(model: "shown") { edges { node { ... on Intent { function status } } } snapshot { version } } }'
      await page.goto(`${platform.url}/graphql?query=${encodeURIComponent(subscription)}`)
      await page.locator('button.graphiql-execute-button').click()
      const result = page.locator('.result-window')
      await result.getByText('"version": 0').waitFor()
      await appendSales(platform, model, [{ orderId: 'A' }])
      await result.getByText('"appendSales"').waitFor()
      await result.getByText('"PUBLISHED"').waitFor()
      const fresh = await (await browser.newContext()).newPage()
      fresh.on('pageerror', error => errors.push(error.message))
      await fresh.goto(`${platform.url}/graphql`)
      const tabs = fresh.locator('.graphiql-tab')
      await tabs.getByText('SalesByMonth').waitFor()
      expect(await tabs.allInnerTexts()).toEqual(await operationNames())
      await tabs.getByText('Models', { exact: true }).click()
      await fresh.locator('button.graphiql-execute-button').click()
      await fresh.locator('.result-window').getByText('"kinds"').waitFor()
      if (process.env.TEATREE_TEST_SCREENSHOT) await page.screenshot({ path: process.env.TEATREE_TEST_SCREENSHOT })
      expect(elsewhere).toEqual([])
      expect(errors).toEqual([])
    } finally {
      await browser.close()
    }
  },
)

const operationNames = async () => (await readyQueries()).map(query => getOperationAST(parse(query))?.name?.value)
