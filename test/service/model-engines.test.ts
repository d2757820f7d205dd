import { expect, test } from 'vitest'
import { openControl } from '../support/control.ts'

test('a model is made only on an engine that its kind and the server have', async () => {
  await using control = await openControl()
  await expect(control.models.create({ kind: 'goals', engine: 'ARROW' })).rejects.toMatchObject({
    code: 'ENGINE_NOT_SUPPORTED',
    message: 'Kind goals runs on DUCKDB here, not on ARROW.',
  })
})
