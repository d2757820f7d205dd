import { expect, test } from 'vitest'
import { runNode } from '../support/node-process.ts'

/** Heavy, and of use to a few: who is first to use one loads it. */
const OF_FEW = ['nodejs-polars', 'apache-arrow', '@aws-sdk/client-s3', '@opentelemetry/sdk-node']

test('serve and managers start without the packages of which most have no use', async () => {
  const { ended } = runNode(`
    import { registerHooks } from 'node:module'
    const packages = new Set()
    registerHooks({
      load(url, context, next) {
        packages.add(/.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1])
        return next(url, context)
      },
    })
    for (const command of ['manager', 'serve']) await import('./src/commands/' + command + '.ts')
    console.log(JSON.stringify([...packages]))
  `)
  const { stdout, stderr } = await ended
  expect(stderr).toBe('')
  const loaded = JSON.parse(stdout[0] ?? '[]')
  expect(loaded).toEqual(expect.arrayContaining(['@duckdb/node-api', 'graphql-yoga', 'pg']))
  expect(OF_FEW.filter(name => loaded.includes(name))).toEqual([])
})
