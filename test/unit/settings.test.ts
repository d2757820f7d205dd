import { expect, test } from 'vitest'
import { readSettings } from '../../src/platform/settings.ts'

test('numbers are digits alone, within their range', () => {
  expect(readSettings({ PORT: '0', TEATREE_MANAGERS: '256' })).toMatchObject({ port: 0, managers: 256 })
  expect(readSettings({ PORT: '' }).port).toBe(4000)
  for (const PORT of [' ', '0x50', '1e3', '-1', '65536', '4000.5', '4000 '])
    expect(() => readSettings({ PORT })).toThrow(/^PORT: must be a whole number from 0 to 65535$/)
  expect(() => readSettings({ TEATREE_MANAGERS: '0' })).toThrow(
    'TEATREE_MANAGERS: must be a whole number from 1 to 256',
  )
})

test('a loopback HOST is known in any case', () => {
  for (const HOST of ['localhost', 'LocalHost', '127.0.0.1', '::1']) expect(readSettings({ HOST }).host).toBe(HOST)
  expect(() => readSettings({ HOST: 'example.org' })).toThrow('HOST=example.org')
})
