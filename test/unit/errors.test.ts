import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { errorsPage } from '../../docs/print.ts'
import { ERRORS, MAX_CELLS, TeatreeError } from '../../src/platform/errors.ts'

test('docs/errors.md is the table of the code; npm run docs prints it anew', async () => {
  expect(await readFile('docs/errors.md', 'utf8')).toBe(errorsPage())
})

test('every code has a status that an HTTP client can use, and a sentence', () => {
  for (const { status, when } of Object.values(ERRORS)) {
    expect(status).toBeGreaterThanOrEqual(400)
    expect(when).toMatch(/\.$/)
  }
})

test("an error names a bounded number of cells, and a kind's own code is a refusal", () => {
  const cells = Array.from({ length: MAX_CELLS + 1 }, (_, row) => ({ row, message: 'bad' }))
  expect(new TeatreeError('BAD_VALUE', 'bad', { cells }).cells).toHaveLength(MAX_CELLS)
  expect(new TeatreeError('NO_BASIS', 'none').status).toBe(422)
})
