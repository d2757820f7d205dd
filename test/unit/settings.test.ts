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

test('the public URL is one that links can be made of', () => {
  expect(readSettings({}).publicUrl).toBeUndefined()
  const TEATREE_PUBLIC_URL = 'https://data.example.org/teatree/'
  expect(readSettings({ TEATREE_PUBLIC_URL }).publicUrl).toBe('https://data.example.org/teatree')
  for (const bad of ['data.example.org', 'ftp://data.example.org', 'https://data.example.org/?a=b'])
    expect(() => readSettings({ TEATREE_PUBLIC_URL: bad })).toThrow(/^TEATREE_PUBLIC_URL: must/)
})

test('a loopback HOST is known in any case', () => {
  for (const HOST of ['localhost', 'LocalHost', '127.0.0.1', '::1']) expect(readSettings({ HOST }).host).toBe(HOST)
  for (const HOST of ['example.org', '0.0.0.0']) expect(() => readSettings({ HOST })).toThrow(`HOST=${HOST}`)
})

test('what is no setting, and no store, is named', () => {
  expect(() => readSettings({ TEATREE_COLOUR: 'green' })).toThrow(/^TEATREE_COLOUR is not a setting/)
  expect(() => readSettings({ TEATREE_STORE_URL: 'ftp://x' })).toThrow(/^TEATREE_STORE_URL: must be file:/)
})
