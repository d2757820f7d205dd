import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { showProgress } from '../../src/commands/progress.ts'

test('a bar that is left by an error shows the cursor again', async () => {
  const out = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  expect(() => {
    using progress = showProgress('Importing', out as unknown as NodeJS.WriteStream)
    progress.at('upload', 0.5)
    throw new Error('refused')
  }).toThrow('refused')
  const written = await text(out.end())
  expect(written.lastIndexOf('\x1b[?25h')).toBeGreaterThan(written.lastIndexOf('\x1b[?25l'))
})
