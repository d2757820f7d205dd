import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openManaged } from '../support/managed.ts'

test('an upload that several look into at once is described to each of them', async () => {
  await using managed = await openManaged()
  const rows = Array.from({ length: 20_000 }, (_, row) => `${row},site ${row}\n`)
  const body = ['siteId,name\n', ...rows].map(line => Buffer.from(line))
  const upload = await managed.uploads.receive(
    (async function* () {
      yield* body
    })(),
    {},
  )
  const described = await Promise.all(Array.from({ length: 6 }, () => managed.uploads.describe(upload)))
  for (const { columns } of described) expect(columns.map(({ name }) => name)).toEqual(['siteId', 'name'])
  expect(await readdir(join(managed.dataDir, 'uploads'))).toEqual([])
})
